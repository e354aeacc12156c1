"""Row: caption scores against pycocoevalcap, on answers like those to difference questions."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from benchmarks.row import Row, alternate, at_most, logger
from lapse.core.findings import FINDINGS
from lapse.core.seeding import derive_index
from lapse.core.types import Prediction, Score
from lapse.metrics import java
from lapse.metrics.bootstrap import RESAMPLES, with_intervals
from lapse.metrics.captioning import Captioning
from lapse.metrics.ngrams import bleu_of, score_ngrams
from lapse.metrics.rouge import rouge_each

PAIRS = 2_000
NAMES = {"BLEU-4": "Bleu_4", "METEOR": "METEOR", "ROUGE-L": "ROUGE_L", "CIDEr": "CIDEr"}
TOLERANCE, NGRAM_TOLERANCE = 1e-6, 1e-9
Texts = dict[int, list[str]]


def answers(count: int = PAIRS) -> list[Prediction]:
    """Template answers, right and wrong, with findings from hash-derived randomness."""

    def answer(number: int, part: str) -> str:
        names = [
            FINDINGS[derive_index(len(FINDINGS), "bench", number, part, position)]
            for position in range(3)
        ]
        text = (
            f"the main image has additional findings of {names[0]}, and {names[1]} than the "
            "reference image. "
        )
        if derive_index(2, "bench", number, part, "missing"):
            text += (
                f"the main image is missing the finding of {names[2]} than the reference image. "
            )
        return text

    predictions = []
    for number in range(count):
        reference = answer(number, "reference")
        is_right = derive_index(3, "bench", number, "right") == 0
        prediction = reference if is_right else answer(number, "prediction")
        patient = f"patient-{number % 400}"
        predictions.append(Prediction(f"p{number}", "diff_vqa", prediction, (reference,), patient))
    return predictions


class Cocoeval:
    """The peer, used as in its own example; its Java process for METEOR stays open."""

    def __init__(self) -> None:
        from pycocoevalcap.meteor.meteor import Meteor

        self.path = os.pathsep.join([str(Path(java.java_command()).parent), os.environ["PATH"]])
        with self._java():
            self.meteor = Meteor()

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Tokenize and score."""
        hypotheses, references = self.tokens(predictions)
        meteor = float(self.meteor.compute_score(references, hypotheses)[0])
        return {**peer_ngrams(hypotheses, references), "METEOR": meteor}

    def tokens(self, predictions: Sequence[Prediction]) -> tuple[Texts, Texts]:
        """Predictions and references, tokenized."""
        from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

        texts = [
            {number: [{"caption": text}] for number, text in enumerate(column)}
            for column in zip(
                *((item.prediction, item.references[0]) for item in predictions), strict=True
            )
        ]
        with self._java(), silent_stderr():
            tokenizer = PTBTokenizer()
            return tokenizer.tokenize(texts[0]), tokenizer.tokenize(texts[1])

    def close(self) -> None:
        """End its Java process."""
        self.meteor.meteor_p.kill()
        self.meteor.meteor_p.communicate()

    @contextmanager
    def _java(self) -> Iterator[None]:
        """Put `java`, which the peer calls by name, on the PATH."""
        before = os.environ["PATH"]
        os.environ["PATH"] = self.path
        try:
            yield
        finally:
            os.environ["PATH"] = before


def peer_ngrams(hypotheses: Texts, references: Texts) -> dict[str, float]:
    """The peer's BLEU-4, ROUGE-L and CIDEr of tokenized texts."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    return {
        "Bleu_4": float(Bleu(4).compute_score(references, hypotheses, verbose=0)[0][3]),
        "ROUGE_L": float(Rouge().compute_score(references, hypotheses)[0]),
        "CIDEr": float(Cider().compute_score(references, hypotheses)[0]),
    }


def our_ngrams(hypotheses: list[str], references: list[list[str]]) -> dict[str, float]:
    """Our BLEU-4, ROUGE-L and CIDEr of the same texts; BLEU of every order, as the peer."""
    ngrams = score_ngrams(hypotheses, references)
    bleu = [float(bleu_of(ngrams.bleu.sum(axis=0), order=order)) for order in range(1, 5)]
    return {
        "Bleu_4": bleu[3],
        "ROUGE_L": float(np.mean(rouge_each(hypotheses, references))),
        "CIDEr": float(np.mean(ngrams.cider)),
    }


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Discard what the peer's Java tokenizer prints on the inherited stderr."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as devnull:
            os.dup2(devnull.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def run() -> Row:
    """Time of all scores and of those without METEOR, and equality with the peer."""
    predictions = answers()
    patients = [item.patient for item in predictions]
    captioning = Captioning()

    def ours() -> dict[str, Score]:
        java.clear_caches()  # every round has an empty cache and a warm Java process
        return with_intervals(captioning(predictions), patients)

    with closing(Cocoeval()) as peer:
        our_scores, peer_scores = ours(), peer(predictions)
        distance = max(
            abs(our_scores[name].value - peer_scores[other]) for name, other in NAMES.items()
        )
        logger.info("scoring: measuring all scores of %d pairs", PAIRS)
        ratios = alternate(ours, lambda: peer(predictions), clock=time.perf_counter)
        hypotheses, references = peer.tokens(predictions)
    our_hypotheses = [hypotheses[index][0] for index in range(PAIRS)]
    our_references = [references[index] for index in range(PAIRS)]
    our_values = our_ngrams(our_hypotheses, our_references)
    peer_values = peer_ngrams(hypotheses, references)
    ngram_distance = max(abs(our_values[name] - peer_values[name]) for name in our_values)
    logger.info("scoring: measuring BLEU, ROUGE-L and CIDEr")
    ngram_ratios = alternate(
        lambda: our_ngrams(our_hypotheses, our_references),
        lambda: peer_ngrams(hypotheses, references),
    )
    num_distinct = len({(item.prediction, item.references) for item in predictions})
    return Row(
        "scoring",
        f"Captioning on {PAIRS:,} pairs, with intervals of {RESAMPLES:,} resamples",
        "pycocoevalcap, without intervals",
        (
            ratios.check("time of all scores", 1.0),
            at_most("difference of the scores", distance, TOLERANCE),
            ngram_ratios.check("time of BLEU, ROUGE-L and CIDEr", 5.0),
            at_most("difference of these three", ngram_distance, NGRAM_TOLERANCE),
        ),
        f"METEOR's program matches {num_distinct:,} distinct pairs per round",
        (
            "our caches are emptied before each round; METEOR's Java process is warm on both "
            "sides, the tokenizer's starts once for ours and twice for the peer",
            "BLEU, ROUGE-L and CIDEr are measured on tokenized texts, on both sides",
        ),
    )
