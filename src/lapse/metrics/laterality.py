"""Left and right: scores of questions that name a side, and answers that belong to the other.

"what has changed in the right basilar area?" has a sister question about the left in the same
pair of studies. An answer that is wrong for its own side and right for the other one is a side
error, the kind of mistake that n-gram scores hardly see.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from lapse.core.grammar import Parsed
from lapse.core.types import Prediction, Score
from lapse.metrics.statistics import Array, pooled_scores, share_score

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
    said: Sequence[Parsed],
    true: Sequence[Parsed],
    counts: Array,
) -> dict[str, Score]:
    """Change scores of questions that name a side, and the side errors, where there are any.

    Args:
        predictions: difference questions, whose ids name the pair ("diff_vqa/main/reference/3").
        said: what each answer says.
        true: what each reference says.
        counts: [n, 3] changes right, said, true.
    """
    sides = [side_of(item.prompt) for item in predictions]
    found: dict[str, Score] = {}
    for side in SIDES:
        mask = np.array([own == side for own in sides])
        if mask.any():
            details = {"questions": str(int(mask.sum()))}
            scores = pooled_scores(f"{side}-side change", counts * mask[:, None], 0, details)
            found[f"{side}-side change F1"] = scores[f"{side}-side change F1"]
    truths = {
        _key(item, item.prompt.lower()): two for item, two in zip(predictions, true, strict=True)
    }
    errors, counted = np.zeros(len(said)), np.zeros(len(said))
    for place, (item, side) in enumerate(zip(predictions, sides, strict=True)):
        other = truths.get(_key(item, mirrored(item.prompt))) if side else None
        if other is not None and other.changes != true[place].changes:
            counted[place] = 1
            errors[place] = said[place].is_parsed and said[place].changes == other.changes
    if counted.any():
        details = {"counted": "questions whose sister about the other side has another answer"}
        found["side errors"] = share_score("side errors", errors, counted, details)
    return found


def _key(item: Prediction, question: str) -> tuple[str, str]:
    pair = "/".join(item.id.split("/")[1:3])
    return pair or item.patient, question
