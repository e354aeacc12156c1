"""BLEU, METEOR, ROUGE-L and CIDEr exactly as the field computes them (pycocoevalcap).

One reference tokenizer (PTB, lower case, punctuation dropped), BLEU with the closest reference
length, METEOR 1.5 with -norm, ROUGE-L with beta 1.2, CIDEr with sigma 6 and document frequencies
of the evaluated set itself: its value therefore depends on which samples are evaluated, and its
interval holds those frequencies fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from lapse.core.types import Prediction, Score, Statistics
from lapse.metrics import java, without_java
from lapse.metrics.meteor import meteor_of, without_perfect_chunks
from lapse.metrics.ngrams import ORDERS, bleu_of, score_ngrams
from lapse.metrics.rouge import rouge_each
from lapse.metrics.statistics import Array, mean_score


class Captioning:
    """(predictions) -> BLEU-1..4, METEOR, ROUGE-L, CIDEr with their per-sample values.

    Args:
        without_java: use `lapse.metrics.without_java`. Its numbers differ; all scores say so.
    """

    names = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr")

    def __init__(self, *, without_java: bool = False) -> None:
        self.without_java = without_java

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
        tokens = self.tokenize([*texts, *(text for row in wanted for text in row)])
        said = tokens[: len(texts)]
        rest = iter(tokens[len(texts) :])
        true = [[next(rest) for _ in row] for row in wanted]
        if not any(text for row in true for text in row):
            raise ValueError(f"none of the {len(true)} predictions has a reference with a word")
        details = {"tokenizer": without_java.TOKENIZER if self.without_java else java.TOKENIZER}
        found = _ngram_scores(said, true, details)
        rouge = mean_score("ROUGE-L", rouge_each(said, true), {**details, "beta": "1.2"})
        meteor = self._meteor(said, true, details)
        names = [f"BLEU-{order + 1}" for order in range(ORDERS)]
        ordered = [*(found[name] for name in names), meteor, rouge, found["CIDEr"]]
        return {score.name: score for score in ordered}

    def tokenize(self, texts: Sequence[str]) -> list[str]:
        """The tokens of each text, joined by blanks. Java remembers what it was asked before."""
        return without_java.tokenize(texts) if self.without_java else java.tokenize(texts)

    def _meteor(self, said: list[str], true: list[list[str]], details: dict[str, str]) -> Score:
        pairs = list(zip(said, true, strict=True))
        if self.without_java:
            known = {
                (text, *others): without_java.match(text, others)
                for text, others in {(text, tuple(others)) for text, others in pairs}
            }
            rows = np.stack([known[text, *others] for text, others in pairs])
            rows = without_perfect_chunks(rows)
            name, backend = without_java.NAME, without_java.METEOR
        else:
            rows = java.shared_meteor().statistics(pairs)
            name, backend = "METEOR", java.METEOR
        return _corpus_score(name, rows, meteor_of, {**details, "backend": backend})


def _ngram_scores(
    said: list[str], true: list[list[str]], details: dict[str, str]
) -> dict[str, Score]:
    counted = score_ngrams(said, true)
    found = {}
    for order in range(1, ORDERS + 1):
        score = partial(bleu_of, order=order)
        name = f"BLEU-{order}"
        found[name] = _corpus_score(name, counted.bleu, score, {**details, "length": "closest"})
    corpus = {**details, "idf corpus": f"evaluated set, {len(said)} samples", "sigma": "6"}
    found["CIDEr"] = mean_score("CIDEr", counted.cider.tolist(), corpus)
    return found


def _corpus_score(
    name: str, rows: Array, score: Callable[[Any], Any], details: dict[str, str]
) -> Score:
    """A score of summed statistics; each sample's own value is that of its row."""
    return Score(
        name,
        float(score(rows.sum(axis=0))),
        per_sample=tuple(score(rows).tolist()),
        details={"n": str(len(rows)), **details},
        statistics=Statistics(rows, score),
    )
