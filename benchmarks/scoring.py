"""Row: caption scores against pycocoevalcap on answers like the difference questions'."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from benchmarks.row import Check, Row, alternate
from lapse.core.grammar import FINDINGS
from lapse.core.seeding import derive_index
from lapse.core.types import Prediction, Score
from lapse.metrics import java
from lapse.metrics.bootstrap import RESAMPLES, with_intervals
from lapse.metrics.captioning import Captioning
from lapse.metrics.ngrams import bleu_of, score_ngrams
from lapse.metrics.rouge import rouge_each

PAIRS = 2_000
ROUNDS = 5
NAMES = ("Bleu_4", "METEOR", "ROUGE_L", "CIDEr")
OURS = ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr")
WITHOUT_METEOR = ("Bleu_4", "ROUGE_L", "CIDEr")
TOLERANCE, NGRAM_TOLERANCE = 1e-6, 1e-9
Texts = dict[int, list[str]]


def answers(count: int = PAIRS) -> list[Prediction]:
    """Template answers, right and wrong, each finding drawn by counted numbers."""

    def answer(number: int, part: str) -> str:
        def name(place: int) -> str:
            return FINDINGS[derive_index(len(FINDINGS), "bench", number, part, place)]

        words = (
            f"the main image has additional findings of {name(0)}, and {name(1)} than the "
            "reference image. "
        )
        if derive_index(2, "bench", number, part, "missing"):
            words += (
                f"the main image is missing the finding of {name(2)} than the reference image. "
            )
        return words

    found = []
    for number in range(count):
        wanted = answer(number, "reference")
        is_right = derive_index(3, "bench", number, "right") == 0
        said = wanted if is_right else answer(number, "prediction")
        found.append(
            Prediction(f"p{number}", "diff_vqa", said, (wanted,), f"patient-{number % 400}")
        )
    return found


class Cocoeval:
    """The peer, as its own example runs it; its Java process for METEOR stays open."""

    def __init__(self) -> None:
        from pycocoevalcap.meteor.meteor import Meteor

        before = os.environ["PATH"]
        self.path = os.pathsep.join([str(Path(java.java_command()).parent), before])
        with self._java():
            self.meteor = Meteor()

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Tokenise and score."""
        given, wanted = self.tokens(predictions)
        found = without_meteor(given, wanted)
        return {**found, "METEOR": float(self.meteor.compute_score(wanted, given)[0])}

    def tokens(self, predictions: Sequence[Prediction]) -> tuple[Texts, Texts]:
        """Predictions and references as its tokenizer has them."""
        from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

        said = {index: [{"caption": item.prediction}] for index, item in enumerate(predictions)}
        true = {index: [{"caption": item.references[0]}] for index, item in enumerate(predictions)}
        with self._java(), quiet_errors():
            tokenizer = PTBTokenizer()
            return tokenizer.tokenize(said), tokenizer.tokenize(true)

    def close(self) -> None:
        """End its Java process."""
        self.meteor.meteor_p.kill()
        self.meteor.meteor_p.communicate()

    @contextmanager
    def _java(self) -> Iterator[None]:
        """A bare `java`, which is what it calls, on the PATH for a moment."""
        before = os.environ["PATH"]
        os.environ["PATH"] = self.path
        try:
            yield
        finally:
            os.environ["PATH"] = before


def without_meteor(given: Texts, wanted: Texts) -> dict[str, float]:
    """The peer's BLEU-4, ROUGE-L and CIDEr of tokenised texts."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    return {
        "Bleu_4": float(Bleu(4).compute_score(wanted, given, verbose=0)[0][3]),
        "ROUGE_L": float(Rouge().compute_score(wanted, given)[0]),
        "CIDEr": float(Cider().compute_score(wanted, given)[0]),
    }


def ours_without_meteor(said: list[str], true: list[list[str]]) -> dict[str, float]:
    """Our own three of the same texts, BLEU of every order as there."""
    counted = score_ngrams(said, true)
    bleu = [float(bleu_of(counted.bleu.sum(axis=0), order=order)) for order in range(1, 5)]
    return {
        "Bleu_4": bleu[3],
        "ROUGE_L": float(np.mean(rouge_each(said, true))),
        "CIDEr": float(np.mean(counted.cider)),
    }


@contextmanager
def quiet_errors() -> Iterator[None]:
    """The peer's tokenizer tells its speed on the error stream that it inherits: not here."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def run(say: Callable[[str], None]) -> Row:
    """Time of all scores and of the three without METEOR, and equality with the peer."""
    predictions = answers()
    patients = [item.patient for item in predictions]
    scorer = Captioning()

    def ours() -> dict[str, Score]:
        java.forget()  # every round begins with an empty memory, its Java process warm
        return with_intervals(scorer(predictions), patients)

    with closing(Cocoeval()) as peer:
        mine, theirs = ours(), peer(predictions)
        distance = max(abs(mine[a].value - theirs[b]) for a, b in zip(OURS, NAMES, strict=True))
        say(f"scoring: {PAIRS:,} pairs, alternating")
        all_scores = alternate(
            ours, lambda: peer(predictions), rounds=ROUNDS, clock=time.perf_counter
        )
        given, wanted = peer.tokens(predictions)
    said = [given[index][0] for index in range(PAIRS)]
    true = [wanted[index] for index in range(PAIRS)]
    three, same = ours_without_meteor(said, true), without_meteor(given, wanted)
    apart = max(abs(three[name] - same[name]) for name in WITHOUT_METEOR)
    say("scoring: BLEU, ROUGE-L and CIDEr, alternating")
    few = alternate(
        lambda: ours_without_meteor(said, true), lambda: without_meteor(given, wanted), ROUNDS
    )
    distinct = len({(item.prediction, item.references) for item in predictions})
    return Row(
        "scoring",
        f"Captioning on {PAIRS:,} pairs, with intervals of {RESAMPLES:,} resamples",
        "pycocoevalcap, without intervals",
        (
            all_scores.check("time of all scores", 1.0),
            Check("difference of the scores", distance, TOLERANCE, is_at_least=False),
            few.check("time of BLEU, ROUGE-L and CIDEr", 5.0),
            Check("difference of these three", apart, NGRAM_TOLERANCE, is_at_least=False),
        ),
        f"{distinct:,} distinct pairs must be matched by METEOR's program once a round",
        (
            "ours forgets all tokens and pairs before each round; METEOR's Java process is warm "
            "on both sides, the tokenizer's starts once for ours and twice for the peer",
            "the three without METEOR: of texts that are tokenised already, on both sides",
        ),
    )
