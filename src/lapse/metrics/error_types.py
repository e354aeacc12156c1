"""What is wrong with one answer, in kinds that a reader looks for.

    hallucinated      a finding that the truth does not mention
    omitted           a finding of the truth that is not mentioned
    wrong direction   the finding is right and the change is another one: added for missing, a
                      level that rises for one that falls, a level for an addition
    wrong level       a level change in the right direction with a wrong level
    contradiction     one finding is given two changes, or "nothing" stands beside a change
    unparsed          some words were not understood

An answer may have several. One without any is right. Layer 3, standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from lapse.core.grammar import FINDINGS, Change, Parsed, contradictions, parse
from lapse.core.types import Prediction
from lapse.metrics.progression import progression_of

KINDS = (
    "hallucinated",
    "omitted",
    "wrong direction",
    "wrong level",
    "contradiction",
    "unparsed",
)


def error_kinds(item: Prediction) -> dict[str, tuple[str, ...]]:
    """Kind -> the findings it is about, () where it is about the whole answer; {} when right.

    Compares with the first reference. A truth that cannot be read is matched by nothing.
    """
    return dict(_kinds(item.prediction, item.references[0]))


@lru_cache(maxsize=1 << 16)
def _kinds(said: str, true: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Answers repeat: each two texts are compared once."""
    return tuple(compare_changes(parse(said), parse(true)).items())


def compare_changes(said: Parsed, true: Parsed) -> dict[str, tuple[str, ...]]:
    """As `error_kinds`, for two answers that have been read."""
    ours, theirs = _by_finding(said), _by_finding(true)
    found: dict[str, list[str]] = {}
    for name in FINDINGS:
        mine, real = ours.get(name, frozenset()), theirs.get(name, frozenset())
        if mine == real:
            continue
        kind = _kind(mine, real, name)
        found.setdefault(kind, []).append(name)
    doubled = contradictions(said.changes)
    if doubled or (said.is_unchanged and said.changes):
        found["contradiction"] = list(doubled)
    if not said.is_parsed:
        found["unparsed"] = []
    return {kind: tuple(found[kind]) for kind in KINDS if kind in found}


def _kind(mine: frozenset[Change], real: frozenset[Change], finding: str) -> str:
    if not real:
        return "hallucinated"
    if not mine:
        return "omitted"
    if len(mine) > 1 or len(real) > 1:  # it contradicts itself: no direction is the right one
        return "wrong direction"
    levels = all(change.kind == "level" for change in mine | real)
    same_way = progression_of(mine, finding) == progression_of(real, finding)
    return "wrong level" if levels and same_way else "wrong direction"


def _by_finding(read: Parsed) -> Mapping[str, frozenset[Change]]:
    found: dict[str, set[Change]] = {}
    for change in read.changes:
        found.setdefault(change.finding, set()).add(change)
    return {name: frozenset(changes) for name, changes in found.items()}
