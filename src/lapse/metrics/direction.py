"""The direction of a change: worse or better. One definition for scores and HTML reports.

worse     added, increased, or a level that rises
better    missing, decreased, or a level that falls
""        two levels without an order, such as "acute" and "severe"
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from lapse.core.changes import Change
from lapse.core.free_text.places import RANKS

Direction = Literal["worse", "better", ""]

_OF_KIND: dict[str, Direction] = {
    "added": "worse",
    "increased": "worse",
    "missing": "better",
    "decreased": "better",
}


def direction_of(change: Change) -> Direction:
    """The direction of one change.

    >>> direction_of(Change("edema", "level", "mild", "severe"))
    'worse'
    """
    if change.kind != "level":
        return _OF_KIND[change.kind]
    if change.after in {"increasing", "decreasing"}:  # levels that are directions
        return "worse" if change.after == "increasing" else "better"
    first, second = RANKS.get(change.before), RANKS.get(change.after)
    if first is None or second is None or first == second:
        return ""
    return "worse" if second > first else "better"


def directions_of(changes: Iterable[Change]) -> frozenset[tuple[str, Direction]]:
    """(finding, direction) of the changes that have one."""
    pairs = ((change.finding, direction_of(change)) for change in changes)
    return frozenset((finding, direction) for finding, direction in pairs if direction)
