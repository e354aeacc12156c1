"""All samples at once equals pycocoevalcap one by one, several references and empty texts too."""

import random

import numpy as np
import pytest

from lapse.metrics.ngrams import bleu_of, score_ngrams
from lapse.metrics.rouge import rouge_each


@pytest.mark.parametrize("seed", range(5))
def test_random_texts_equal_the_reference_code(seed):
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    draw = random.Random(seed)

    def text() -> str:
        return " ".join(draw.choice("abcdefg") for _ in range(draw.randint(0, 9)))

    said = [text() for _ in range(60)]
    true = [[text() or "a" for _ in range(draw.randint(1, 3))] for _ in said]
    gts, res = dict(enumerate(true)), {i: [t] for i, t in enumerate(said)}
    found = score_ngrams(said, true)
    total, each = Bleu(4).compute_score(gts, res, verbose=0)
    for order in range(1, 5):
        assert bleu_of(found.bleu.sum(axis=0), order) == pytest.approx(total[order - 1], abs=1e-9)
        assert bleu_of(found.bleu, order) == pytest.approx(np.array(each[order - 1]), abs=1e-9)
    assert found.cider == pytest.approx(Cider().compute_score(gts, res)[1], abs=1e-9)
    assert rouge_each(said, true) == pytest.approx(Rouge().compute_score(gts, res)[1], abs=1e-9)


@pytest.mark.parametrize("said", [["x y"], ["x y", "z"], ["", ""]])
def test_answers_that_share_no_word_with_any_reference_are_worth_nothing(said):
    """An untrained model's answers: found by running every row of every table."""
    found = score_ngrams(said, [["a b c"]] * len(said))
    assert found.cider.tolist() == [0.0] * len(said)
    assert bleu_of(found.bleu.sum(axis=0), 4) == pytest.approx(0.0, abs=1e-6)
