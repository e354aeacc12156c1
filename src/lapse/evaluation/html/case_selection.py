"""Which answers a reader should look at: the worst, the best, and one of everything.

    worst      most that is wrong (findings made up, left out, turned round), surest first
    best       all right, most changes first
    examples   every finding and every kind of error that the others do not show yet, then the
               next worst ones while there is room

At most two answers of one patient are among the worst and the best. Boxes of a case are those
of the regions whose sentences, in the report of that image, name a finding of the answer or of
the truth: they say where to look, not where the model looked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lapse.core.grammar import FINDINGS, findings_in, parse
from lapse.core.types import Box, Pair, Prediction, Study
from lapse.data.store.store import Store
from lapse.metrics.error_types import error_kinds

TASK = "diff_vqa"
MAX_OF_PATIENT = 2
MAX_BOXES = 2  # of one finding on one image, the smallest
_DENIED = re.compile(r"\b(?:no|not|without|free of|clear of|resolved|negative for|absent)\b")


@dataclass(frozen=True, slots=True)
class Case:
    """One answer and what is wrong with it: kind of error -> the findings it is about."""

    item: Prediction
    errors: Mapping[str, tuple[str, ...]]
    shown_as: str  # "worst", "best" or "example"

    @property
    def findings(self) -> tuple[str, ...]:
        """Every finding that the answer or the truth names."""
        return findings_of(self.item)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a report says that a finding is, on one image."""

    finding: str
    region: str
    box: Box


def findings_of(item: Prediction) -> tuple[str, ...]:
    """Every finding that an answer or its truth names, in the order of their ids."""
    return _named(item.prediction, item.references[0])


@lru_cache(maxsize=1 << 16)
def _named(said: str, true: str) -> tuple[str, ...]:
    named = {change.finding for text in (said, true) for change in parse(text).changes}
    return tuple(name for name in FINDINGS if name in named)


def choose_cases(
    predictions: Sequence[Prediction], *, count: int, sure: Callable[[Prediction], float]
) -> list[Case]:
    """At most `count` answers to look at, worst first.

    Args:
        predictions: difference answers.
        count: how many cases a page may hold.
        sure: how sure the system was of an answer; among equally wrong ones the surest is worst.
    """
    errors = {item.id: error_kinds(item) for item in predictions}
    wrong = [item for item in predictions if errors[item.id]]
    right = [item for item in predictions if not errors[item.id]]

    def weight(item: Prediction) -> int:
        return sum(max(1, len(names)) for names in errors[item.id].values())

    wrong.sort(key=lambda item: (-weight(item), -sure(item), item.id))
    right.sort(key=lambda item: (-len(parse(item.references[0]).changes), -sure(item), item.id))
    num_worst, num_best = count // 2, count // 4
    worst = list(_spread(wrong, num_worst))
    best = list(_spread(right, num_best))
    chosen = [Case(item, errors[item.id], "worst") for item in worst]
    chosen += [Case(item, errors[item.id], "best") for item in best]
    seen = {mark for case in chosen for mark in _marks(case.item, case.errors)}
    taken = {case.item.id for case in chosen}
    for item in predictions:
        marks = _marks(item, errors[item.id])
        if len(chosen) == count or item.id in taken or marks <= seen:
            continue
        chosen.append(Case(item, errors[item.id], "example"))
        taken.add(item.id)
        seen |= marks
    rest = [item for item in (*wrong, *right) if item.id not in taken]
    chosen += [Case(item, errors[item.id], "example") for item in rest[: count - len(chosen)]]
    return chosen


def _spread(items: Sequence[Prediction], count: int) -> Iterator[Prediction]:
    """The first `count` items with at most MAX_OF_PATIENT of one patient."""
    of_patient: Counter[str] = Counter()
    for item in items:
        if count and of_patient[item.patient] < MAX_OF_PATIENT:
            of_patient[item.patient] += bool(item.patient)
            count -= 1
            yield item


def _marks(item: Prediction, errors: Mapping[str, tuple[str, ...]]) -> set[tuple[str, str]]:
    """What a case shows: (kind of error or "named", finding)."""
    marks = {(kind, name) for kind, names in errors.items() for name in names}
    marks |= {(kind, "") for kind in errors}
    return marks | {("named", name) for name in findings_of(item)}


def find_pairs(store: Store, cases: Sequence[Case]) -> dict[str, Pair]:
    """Id of a case -> its pair in the store, for those that it holds.

    The id of a difference answer is "diff_vqa/" and the id of the pair.
    """
    wanted = {case.item.id.removeprefix(f"{TASK}/"): case.item.id for case in cases}
    return {wanted[pair.id]: pair for pair in store.pairs_named(wanted)}


def places_of(study: Study, findings: Sequence[str]) -> list[Place]:
    """The smallest boxes of the regions whose sentences state one of these findings."""
    found: list[Place] = []
    for finding in findings:
        boxes = [
            (region.box.area, region.name, region.box)
            for region in study.regions
            if region.box is not None and any(states(text, finding) for text in region.phrases)
        ]
        boxes.sort(key=lambda row: row[:2])
        found += [Place(finding, name, box) for _, name, box in boxes[:MAX_BOXES]]
    return found


def states(sentence: str, finding: str) -> bool:
    """Whether a sentence of a report names a finding without denying it.

    >>> states("No effusion or pneumothorax.", "pneumothorax")
    False
    """
    return finding in findings_in(sentence) and not _DENIED.search(sentence.lower())
