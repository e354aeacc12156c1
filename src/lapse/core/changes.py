"""A change of a finding between two images: as a value, inverted, and as template sentences.

    answer  := level* added? missing?  |  'nothing has changed.'
    level   := 'the level of F has changed from L to L. '
            |  'the level of F has increased. '  |  'the level of F has decreased. '
    added   := 'the main image has an additional finding of F than the reference image. '
    missing := 'the main image is missing the finding of F than the reference image. '

The two sentences without levels are an addition of this package, for systems that do not name any.
Source: the published templates of Medical-Diff-VQA (Hu et al., 2023).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lapse.core.findings import FINDINGS, IDS, is_level

QUESTION_CHANGED = "what has changed compared to the reference image?"
UNCHANGED = "nothing has changed."
Kind = Literal["added", "missing", "level", "increased", "decreased"]
KINDS: tuple[Kind, ...] = ("level", "added", "missing")  # of the data set
FREE_KINDS: tuple[Kind, ...] = ("increased", "decreased")  # level changes without their levels
_OPPOSITE: dict[Kind, Kind] = {
    "added": "missing",
    "missing": "added",
    "increased": "decreased",
    "decreased": "increased",
}


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One change of one finding: added, missing, or from one level to another.

    Raises:
        ValueError: unknown finding or kind, or levels that do not match the kind.
    """

    finding: str
    kind: Kind
    before: str = ""
    after: str = ""

    def __post_init__(self) -> None:
        if self.finding not in IDS:
            raise ValueError(f"unknown finding {self.finding!r}: one of findings.FINDINGS")
        if self.kind not in (*KINDS, *FREE_KINDS):
            names = ", ".join((*KINDS, *FREE_KINDS))
            raise ValueError(f"unknown kind of change {self.kind!r}: one of {names}")
        if self.kind == "level":
            if not self.before or not self.after or self.before == self.after:
                raise ValueError(
                    f"a level change of {self.finding} goes from {self.before!r} to "
                    f"{self.after!r}: it needs two different levels"
                )
            for level in (self.before, self.after):
                if not is_level(level) or level != " ".join(level.split()):
                    raise ValueError(f"unknown level {level!r}: words of findings.LEVELS")
        elif self.before or self.after:
            raise ValueError(f"a change {self.kind!r} of {self.finding} has no levels")


def by_finding(changes: Iterable[Change]) -> dict[str, frozenset[Change]]:
    """Finding -> its changes."""
    grouped: dict[str, set[Change]] = {}
    for change in changes:
        grouped.setdefault(change.finding, set()).add(change)
    return {finding: frozenset(group) for finding, group in grouped.items()}


def render(changes: Iterable[Change], order: Sequence[str] = FINDINGS) -> str:
    """The canonical answer: levels, added, missing, each in the order of finding ids.

    Another `order` of all findings gives an equivalent answer.

    >>> render([])
    'nothing has changed.'
    """
    ranks = {name: rank for rank, name in enumerate(order)}
    ordered = sorted(set(changes), key=lambda change: (ranks[change.finding], change))
    if not ordered:
        return UNCHANGED
    sentences = [_level_sentence(c) for c in ordered if c.kind in ("level", *FREE_KINDS)]
    added = [change.finding for change in ordered if change.kind == "added"]
    missing = [change.finding for change in ordered if change.kind == "missing"]
    if added:
        noun = "an additional finding" if len(added) == 1 else "additional findings"
        sentences.append(
            f"the main image has {noun} of {_listed(added)} than the reference image. "
        )
    if missing:
        noun = "finding" if len(missing) == 1 else "findings"
        sentences.append(
            f"the main image is missing the {noun} of {_listed(missing)} than the reference image. "
        )
    return "".join(sentences)


def _level_sentence(change: Change) -> str:
    if change.kind == "level":
        levels = f"from {change.before} to {change.after}"
        return f"the level of {change.finding} has changed {levels}. "
    return f"the level of {change.finding} has {change.kind}. "


def _listed(names: Sequence[str]) -> str:
    """ "a", "a, and b", "a, b, and c": the dataset has a comma even for two."""
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])}, and {names[-1]}"


def invert(changes: Iterable[Change]) -> frozenset[Change]:
    """The changes of the swapped pair: added <-> missing, levels reversed."""
    return frozenset(_inverse(change) for change in changes)


def _inverse(change: Change) -> Change:
    if change.kind == "level":
        return Change(change.finding, "level", change.after, change.before)
    return Change(change.finding, _OPPOSITE[change.kind])


def contradictions(changes: Iterable[Change]) -> tuple[str, ...]:
    """Findings with more than one change, which contradict each other."""
    grouped = by_finding(changes)
    return tuple(name for name in FINDINGS if len(grouped.get(name, ())) > 1)
