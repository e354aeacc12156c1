"""Row: caption scores against pycocoevalcap on answers like the difference questions'."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lapse.bench.row import Check, Row, alternate
from lapse.counted import counted_index
from lapse.grammar import FINDINGS
from lapse.metrics.captioning import Captioning
from lapse.types import Prediction

PAIRS = 2_000
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


def cocoeval(predictions: Sequence[Prediction]) -> dict[str, float]:
    """The peer, as its own example runs it."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    from lapse.metrics.java import shared_meteor, tokenize

    said = tokenize([item.prediction for item in predictions])
    true = tokenize([item.references[0] for item in predictions])
    wanted = {index: [text] for index, text in enumerate(true)}
    given = {index: [text] for index, text in enumerate(said)}
    bleu, _ = Bleu(4).compute_score(wanted, given, verbose=0)
    meteor, _ = shared_meteor().score([(a, [b]) for a, b in zip(said, true, strict=True)])
    return {
        "Bleu_4": float(bleu[3]),
        "METEOR": float(meteor),
        "ROUGE_L": float(Rouge().compute_score(wanted, given)[0]),
        "CIDEr": float(Cider().compute_score(wanted, given)[0]),
    }


def run(say: Callable[[str], None]) -> Row:
    """Time of all scores, and equality with the peer."""
    predictions = answers()
    scorer = Captioning()
    mine, theirs = scorer(predictions), cocoeval(predictions)
    distance = max(abs(mine[a].value - theirs[b]) for a, b in zip(OURS, NAMES, strict=True))
    say(f"scoring: {PAIRS} pairs, alternating")
    ratios = alternate(lambda: scorer(predictions), lambda: cocoeval(predictions))
    distinct = len({(item.prediction, item.references) for item in predictions})
    return Row(
        "scoring",
        f"Captioning on {PAIRS} pairs",
        "pycocoevalcap's BLEU, ROUGE-L and CIDEr; its METEOR and tokenizer jars through our client",
        (
            ratios.check("time of all scores", 1.0),
            Check("difference of the scores", distance, TOLERANCE, is_at_least=False),
        ),
        f"{distinct} distinct pairs must be matched by METEOR's program once",
        (
            "both sides use one warm METEOR process: pycocoevalcap's own starts Java anew and "
            "hangs on line breaks",
        ),
    )
