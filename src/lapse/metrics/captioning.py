"""BLEU, METEOR, ROUGE-L and CIDEr exactly as the field computes them (pycocoevalcap).

One reference tokenizer (PTB, lower case, punctuation dropped), BLEU with the closest reference
length, METEOR 1.5 with -norm, ROUGE-L with beta 1.2, CIDEr with sigma 6 and document frequencies
of the evaluated set itself: its value therefore depends on which samples are evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence

from lapse.metrics.java import METEOR, TOKENIZER, shared_meteor, tokenize
from lapse.types import Prediction, Score

MEAN = {"aggregate": "mean"}  # the value is the mean of the per-sample values


class Captioning:
    """(predictions) -> BLEU-1..4, METEOR, ROUGE-L, CIDEr with their per-sample values."""

    names = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr")

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, Score]:
        """Score the predictions against their references.

        Raises:
            ValueError: no prediction, no reference with a word in it, or a metric's program is
                missing or fails.
        """
        if not predictions:
            raise ValueError("caption metrics need at least one prediction, got none")
        texts = [item.prediction for item in predictions]
        wanted = [list(item.references) for item in predictions]
        tokens = tokenize([*texts, *(text for row in wanted for text in row)])
        said = tokens[: len(texts)]
        rest = iter(tokens[len(texts) :])
        true = [[next(rest) for _ in row] for row in wanted]
        if not any(text for row in true for text in row):
            raise ValueError(f"none of the {len(true)} predictions has a reference with a word")
        return self._scores(said, true)

    def _scores(self, said: list[str], true: list[list[str]]) -> dict[str, Score]:
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge

        references = dict(enumerate(true))
        hypotheses = {index: [text] for index, text in enumerate(said)}
        backend = {"n": str(len(said)), "tokenizer": TOKENIZER}
        bleu, bleu_each = Bleu(4).compute_score(references, hypotheses, verbose=0)
        rouge, rouge_each = Rouge().compute_score(references, hypotheses)
        cider, cider_each = Cider().compute_score(references, hypotheses)
        meteor, meteor_each = shared_meteor().score(list(zip(said, true, strict=True)))
        found = {
            f"BLEU-{order + 1}": Score(
                f"BLEU-{order + 1}",
                float(bleu[order]),
                per_sample=tuple(float(value) for value in bleu_each[order]),
                details={**backend, "length": "closest"},
            )
            for order in range(4)
        }
        rows = (
            ("METEOR", meteor, meteor_each, {"backend": METEOR}),
            ("ROUGE-L", rouge, rouge_each, {"beta": "1.2", **MEAN}),
            ("CIDEr", cider, cider_each, {"idf corpus": "evaluated set", "sigma": "6", **MEAN}),
        )
        for name, value, each, details in rows:
            values = tuple(float(part) for part in each)
            found[name] = Score(name, float(value), per_sample=values, details=backend | details)
        return found
