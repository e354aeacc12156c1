"""Left and right: scores of questions that name a side, and answers that fit the other side.

"what has changed in the right basilar area?" has a mirrored question about the left in the same
pair of studies. An answer that is wrong for its own side and right for the other one is a side
error, which n-gram scores hardly notice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from lapse.core.grammar import Parsed
from lapse.core.types import Prediction, Score
from lapse.metrics.statistics import Counts, fraction_score, pooled_scores

SIDES = ("left", "right")
_SIDE = re.compile(r"\b(left|right)\b")


def side_of(question: str) -> str:
    """ "left" or "right" where a question names that side alone, else "".

    >>> side_of("what has changed in the right basilar area?"), side_of("left or right side?")
    ('right', '')
    """
    named = set(_SIDE.findall(question.lower()))
    return named.pop() if len(named) == 1 else ""


def mirrored(question: str) -> str:
    """The same question about the other side."""
    return _SIDE.sub(lambda match: SIDES[match[0] == "left"], question.lower())


def laterality_scores(
    predictions: Sequence[Prediction],
    answers: Sequence[Parsed],
    references: Sequence[Parsed],
    counts: Counts,
) -> dict[str, Score]:
    """Change scores of questions that name a side, and the side errors, where there are any.

    Args:
        predictions: difference questions, whose ids name the pair ("diff_vqa/main/reference/3").
        answers: [n] parsed answers.
        references: [n] parsed references.
        counts: [n, 3] changes correct, predicted, true.
    """
    sides = [side_of(item.prompt) for item in predictions]
    scores: dict[str, Score] = {}
    for side in SIDES:
        mask = np.array([name == side for name in sides])
        if mask.any():
            details = {"questions": str(int(mask.sum()))}
            pooled = pooled_scores(f"{side}-side change", counts * mask[:, None], 0, details)
            scores[f"{side}-side change F1"] = pooled[f"{side}-side change F1"]
    by_question = {
        _key(item, item.prompt.lower()): reference
        for item, reference in zip(predictions, references, strict=True)
    }
    errors, counted = np.zeros(len(answers)), np.zeros(len(answers))
    for row, (item, side) in enumerate(zip(predictions, sides, strict=True)):
        other = by_question.get(_key(item, mirrored(item.prompt))) if side else None
        if other is not None and other.changes != references[row].changes:
            counted[row] = 1
            errors[row] = answers[row].is_parsed and answers[row].changes == other.changes
    if counted.any():
        details = {"counted": "questions whose mirrored question has another answer"}
        scores["side errors"] = fraction_score(
            "side errors", errors, counted, details, higher_is_better=False
        )
    return scores


def _key(item: Prediction, question: str) -> tuple[str, str]:
    pair = "/".join(item.id.split("/")[1:3])
    return pair or item.patient, question
