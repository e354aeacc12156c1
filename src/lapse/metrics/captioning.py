"""BLEU, METEOR, ROUGE-L and CIDEr exactly as the field computes them (pycocoevalcap).

One reference tokenizer (PTB, lower case, punctuation dropped), BLEU with the closest reference
length, METEOR 1.5 with -norm, ROUGE-L with beta 1.2, CIDEr with sigma 6 and document frequencies
of the evaluated set. CIDEr therefore depends on which samples are evaluated, and its interval
keeps those frequencies fixed. The tokenizer and METEOR are Java programs. METEOR reads at most
the first 1,000 words of a text, because it needs gigabytes for some thousand; samples that are cut
are counted.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from lapse.core.types import Prediction, Score, Statistics
from lapse.metrics import java
from lapse.metrics.meteor import meteor_of
from lapse.metrics.ngrams import ORDERS, bleu_of, score_ngrams
from lapse.metrics.rouge import rouge_each
from lapse.metrics.statistics import FRACTION, Array, mean_score, shared_floats

MAX_METEOR_WORDS = 1000

logger = logging.getLogger(__name__)


class Captioning:
    """(predictions) -> BLEU-1..4, METEOR, ROUGE-L, CIDEr with their per-sample values.

    Raises:
        ValueError: Java or pycocoevalcap is missing.
    """

    names = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr")
    needs_java: ClassVar[bool] = True

    def __init__(self) -> None:
        java.check_installed()

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, Score]:
        """Score the predictions against their references.

        Raises:
            ValueError: no prediction, no reference with a word in it, or Java is missing or
                fails.
        """
        if not predictions:
            raise ValueError("caption metrics need at least one prediction, got none")
        texts = [item.prediction for item in predictions]
        texts += [text for item in predictions for text in item.references]
        tokens = iter(java.tokenize(texts))
        answers = [next(tokens) for _ in predictions]
        references = [[next(tokens) for _ in item.references] for item in predictions]
        if not any(text for row in references for text in row):
            raise ValueError(
                f"none of the {len(references)} predictions has a reference with a word"
            )
        details = {"tokenizer": java.TOKENIZER}
        ngrams = score_ngrams(answers, references)
        whole = list(zip(answers, references, strict=True))
        pairs = [(_cut(answer), list(map(_cut, others))) for answer, others in whole]
        num_cut = sum(pair != text for pair, text in zip(pairs, whole, strict=True))
        rows = java.shared_meteor().statistics(pairs)
        meteor_details = {**details, "backend": java.METEOR}
        if num_cut:
            meteor_details["cut"] = f"{num_cut} samples to {MAX_METEOR_WORDS} words per text"
            logger.warning("METEOR: %s", meteor_details["cut"])
        idf_corpus = f"evaluated set, {len(predictions)} samples"
        bleu_details = {**details, "length": "closest"}
        scores = [
            *(
                _corpus_score(
                    f"BLEU-{order}", ngrams.bleu, partial(bleu_of, order=order), bleu_details
                )
                for order in range(1, ORDERS + 1)
            ),
            _corpus_score("METEOR", rows, meteor_of, meteor_details),
            mean_score(
                "ROUGE-L",
                rouge_each(answers, references),
                {**details, "beta": "1.2"},
                value_range=FRACTION,
            ),
            mean_score(
                "CIDEr",
                ngrams.cider.tolist(),
                {**details, "idf corpus": idf_corpus, "sigma": "6"},
                value_range=(0.0, 10.0),
            ),
        ]
        if len({tuple(row) for row in references}) == 1 and len(references) > 1:
            # Every word is in every reference: all weights are 0, and the cosine is 0 / 0.
            scores[-1] = replace(scores[-1], value=math.nan, per_sample=(), statistics=None)
        return {score.name: score for score in scores}


def _cut(text: str) -> str:
    """The first words of a tokenized text; METEOR needs gigabytes for some thousand words."""
    if len(text) <= MAX_METEOR_WORDS:
        return text
    return " ".join(text.split(" ", MAX_METEOR_WORDS)[:MAX_METEOR_WORDS])


def _corpus_score(
    name: str, rows: Array, score: Callable[[Array], Array], details: Mapping[str, str]
) -> Score:
    """A score of summed statistics; the value of a sample is the score of its row."""
    return Score(
        name,
        float(score(rows.sum(axis=0))),
        per_sample=shared_floats(score(rows)),
        details={"n": str(len(rows)), "events": str(len(rows)), **details},
        statistics=Statistics(rows, score),
        value_range=FRACTION,
    )
