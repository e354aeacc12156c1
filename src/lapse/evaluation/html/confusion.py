"""Confusion of changes: what the truth says about a finding against what the answer says.

A finding counts once per pair of studies in which the truth or the answer names it. "not named"
means that the text does not mention it. Pairs with an unread text are left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lapse.core.changes import Change
from lapse.core.types import Prediction
from lapse.metrics.direction import direction_of

NOT_NAMED, SEVERAL = "not named", "several changes"
LEVELS = {"worse": "level rises", "better": "level falls", "": "other level"}
NAMES = ("added", "missing", *LEVELS.values(), SEVERAL, NOT_NAMED)


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of findings; rows are the truth, columns the answer, empty ones are left out.

    Attributes:
        rows: (name, counts, their sum).
        num_unread: pairs that are left out because a text is not read.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...], int], ...]
    num_unread: int


def count_confusion(answers: Sequence[Prediction]) -> Confusion | None:
    """The confusion of difference answers; None where no finding is named."""
    counts: Counter[tuple[str, str]] = Counter()
    num_unread = 0
    for item in answers:
        answer, truth = item.answer, item.truth
        if not item.is_read:
            num_unread += 1
            continue
        for finding in {change.finding for change in answer.changes | truth.changes}:
            counts[_kind(truth.changes, finding), _kind(answer.changes, finding)] += 1
    if not counts:
        return None
    columns = tuple(name for name in NAMES if any(column == name for _, column in counts))
    rows = tuple(
        (name, values, sum(values))
        for name in NAMES
        if any(values := tuple(counts[name, column] for column in columns))
    )
    return Confusion(columns, rows, num_unread)


def _kind(changes: frozenset[Change], finding: str) -> str:
    kinds = [change for change in changes if change.finding == finding]
    if not kinds:
        return NOT_NAMED
    if len(kinds) > 1:
        return SEVERAL
    if kinds[0].kind in NAMES:
        return kinds[0].kind
    return LEVELS[direction_of(kinds[0])]
