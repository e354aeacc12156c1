"""BLEU, CIDEr and ROUGE-L equal pycocoevalcap, with several references and empty texts."""

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

    answers = [text() for _ in range(60)]
    references = [[text() or "a" for _ in range(draw.randint(1, 3))] for _ in answers]
    gts, res = dict(enumerate(references)), {i: [t] for i, t in enumerate(answers)}
    scores = score_ngrams(answers, references)
    total, each = Bleu(4).compute_score(gts, res, verbose=0)
    for order in range(1, 5):
        assert bleu_of(scores.bleu.sum(axis=0), order) == pytest.approx(total[order - 1], abs=1e-9)
        assert bleu_of(scores.bleu, order) == pytest.approx(np.array(each[order - 1]), abs=1e-9)
    assert scores.cider == pytest.approx(Cider().compute_score(gts, res)[1], abs=1e-9)
    assert rouge_each(answers, references) == pytest.approx(
        Rouge().compute_score(gts, res)[1], abs=1e-9
    )


@pytest.mark.parametrize("answers", [["x y"], ["x y", "z"], ["", ""]])
def test_answers_without_a_word_of_any_reference_score_zero(answers):
    scores = score_ngrams(answers, [["a b c"]] * len(answers))
    assert scores.cider.tolist() == [0.0] * len(answers)
    assert bleu_of(scores.bleu.sum(axis=0), 4) == pytest.approx(0.0, abs=1e-6)
