"""Row: caption scores against pycocoevalcap on answers like the difference questions'."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from lapse.bench.row import Check, Row, alternate
from lapse.counted import counted_index
from lapse.grammar import FINDINGS
from lapse.metrics.captioning import Captioning
from lapse.metrics.java import java_command
from lapse.types import Prediction

PAIRS = 600
NAMES = ("Bleu_4", "METEOR", "ROUGE_L", "CIDEr")
OURS = ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr")
TOLERANCE = 1e-6


def answers(count: int = PAIRS) -> list[Prediction]:
    """Template answers, right and wrong, each finding drawn by counted numbers."""

    def answer(number: int, part: str) -> str:
        def name(place: int) -> str:
            return FINDINGS[counted_index(len(FINDINGS), "bench", number, part, place)]

        words = (
            f"the main image has additional findings of {name(0)}, and {name(1)} than the "
            "reference image. "
        )
        if counted_index(2, "bench", number, part, "missing"):
            words += (
                f"the main image is missing the finding of {name(2)} than the reference image. "
            )
        return words

    found = []
    for number in range(count):
        wanted = answer(number, "reference")
        is_right = counted_index(3, "bench", number, "right") == 0
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
        self.path = os.pathsep.join([str(Path(java_command()).parent), before])
        with self._java():
            self.meteor = Meteor()

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Tokenise and score."""
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge
        from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

        said = {index: [{"caption": item.prediction}] for index, item in enumerate(predictions)}
        true = {index: [{"caption": item.references[0]}] for index, item in enumerate(predictions)}
        with self._java():
            tokenizer = PTBTokenizer()
            given, wanted = tokenizer.tokenize(said), tokenizer.tokenize(true)
        return {
            "Bleu_4": float(Bleu(4).compute_score(wanted, given, verbose=0)[0][3]),
            "METEOR": float(self.meteor.compute_score(wanted, given)[0]),
            "ROUGE_L": float(Rouge().compute_score(wanted, given)[0]),
            "CIDEr": float(Cider().compute_score(wanted, given)[0]),
        }

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


def run(say: Callable[[str], None]) -> Row:
    """Time of all scores, and equality with the peer."""
    predictions = answers()
    scorer = Captioning()
    with closing(Cocoeval()) as peer:
        mine, theirs = scorer(predictions), peer(predictions)
        distance = max(abs(mine[a].value - theirs[b]) for a, b in zip(OURS, NAMES, strict=True))
        say(f"scoring: {PAIRS} pairs, alternating")
        ratios = alternate(
            lambda: scorer(predictions), lambda: peer(predictions), clock=time.perf_counter
        )
    distinct = len({(item.prediction, item.references) for item in predictions})
    return Row(
        "scoring",
        f"Captioning on {PAIRS} pairs",
        "pycocoevalcap",
        (
            ratios.check("time of all scores", 1.0),
            Check("difference of the scores", distance, TOLERANCE, is_at_least=False),
        ),
        f"{distinct} distinct pairs must be matched by METEOR's program once",
        ("METEOR's Java process is warm on both sides; the tokenizer's starts for every call",),
    )
