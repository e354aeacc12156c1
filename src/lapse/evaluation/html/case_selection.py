"""Selection of the answers to show with images: the worst, the best, and one of every kind.

    worst      the most errors (findings hallucinated, omitted, wrong direction), most confident
               first
    best       no error, the most changes first
    examples   every finding and every kind of error that the others do not show yet, then the
               next worst answers

At most two answers of a patient are among the worst, and two among the best. The boxes of a case
are those of the regions whose sentences, in the report of that image, name a finding of the
answer or of the truth. They are not boxes of the model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lapse.core.findings import FINDINGS, findings_in
from lapse.core.types import Box, Pair, Prediction, Study
from lapse.data.store.store import Store
from lapse.metrics.error_types import error_kinds

TASK = "diff_vqa"
MAX_PER_PATIENT = 2
MAX_BOXES = 2  # of one finding on one image, the smallest
_NEGATION = re.compile(r"\b(?:no|not|without|free of|clear of|resolved|negative for|absent)\b")


@dataclass(frozen=True, slots=True)
class Case:
    """One answer and its errors: kind of error -> the findings that it concerns."""

    item: Prediction
    errors: Mapping[str, tuple[str, ...]]
    shown_as: str  # "worst", "best" or "example"

    @property
    def findings(self) -> tuple[str, ...]:
        """Every finding that the answer or the truth names."""
        return findings_of(self.item)


@dataclass(frozen=True, slots=True)
class FindingBox:
    """A region of an image whose report states a finding."""

    finding: str
    region: str
    box: Box


def findings_of(item: Prediction) -> tuple[str, ...]:
    """Every finding that an answer or its truth names, in the order of FINDINGS."""
    named = {change.finding for change in item.answer.changes | item.truth.changes}
    return tuple(name for name in FINDINGS if name in named)


def choose_cases(
    predictions: Sequence[Prediction], *, count: int, confidence: Callable[[Prediction], float]
) -> list[Case]:
    """At most `count` answers, the worst first.

    Args:
        count: how many cases a page may hold.
        confidence: of the system in an answer; of equally wrong answers the most confident is
            the worst.
    """
    errors = {item.id: error_kinds(item) for item in predictions}
    wrong = [item for item in predictions if errors[item.id]]
    right = [item for item in predictions if not errors[item.id]]

    def num_errors(item: Prediction) -> int:
        return sum(max(1, len(names)) for names in errors[item.id].values())

    def num_changes(item: Prediction) -> int:
        return len(item.truth.changes)

    wrong.sort(key=lambda item: (-num_errors(item), -confidence(item), item.id))
    right.sort(key=lambda item: (-num_changes(item), -confidence(item), item.id))
    cases = [Case(item, errors[item.id], "worst") for item in _spread(wrong, count // 2)]
    cases += [Case(item, errors[item.id], "best") for item in _spread(right, count // 4)]
    shown = {trait for case in cases for trait in _traits(case.item, case.errors)}
    chosen = {case.item.id for case in cases}
    for item in predictions:
        traits = _traits(item, errors[item.id])
        if len(cases) < count and item.id not in chosen and not traits <= shown:
            cases.append(Case(item, errors[item.id], "example"))
            chosen.add(item.id)
            shown |= traits
    rest = [item for item in (*wrong, *right) if item.id not in chosen]
    return cases + [Case(item, errors[item.id], "example") for item in rest[: count - len(cases)]]


def _spread(items: Sequence[Prediction], count: int) -> Iterator[Prediction]:
    """The first `count` items with at most MAX_PER_PATIENT of one patient."""
    num_of_patient: Counter[str] = Counter()
    for item in items:
        if count and num_of_patient[item.patient] < MAX_PER_PATIENT:
            num_of_patient[item.patient] += bool(item.patient)
            count -= 1
            yield item


def _traits(item: Prediction, errors: Mapping[str, tuple[str, ...]]) -> set[tuple[str, str]]:
    """What a case shows: (kind of error or "named", finding)."""
    traits = {(kind, name) for kind, names in errors.items() for name in (*names, "")}
    return traits | {("named", name) for name in findings_of(item)}


def find_pairs(store: Store, cases: Sequence[Case]) -> dict[str, Pair]:
    """Id of a case -> its pair, for the pairs in the store.

    The id of a difference answer is "diff_vqa/" and the id of the pair.
    """
    case_ids = {case.item.id.removeprefix(f"{TASK}/"): case.item.id for case in cases}
    return {case_ids[pair.id]: pair for pair in store.pairs_by_id(case_ids)}


def finding_boxes(study: Study, findings: Sequence[str]) -> list[FindingBox]:
    """The smallest boxes of the regions whose sentences state one of these findings."""
    chosen: list[FindingBox] = []
    for finding in findings:
        boxes = [
            FindingBox(finding, region.name, region.box)
            for region in study.regions
            if region.box is not None and any(states(text, finding) for text in region.phrases)
        ]
        boxes.sort(key=lambda item: (item.box.area, item.region))
        chosen += boxes[:MAX_BOXES]
    return chosen


def states(sentence: str, finding: str) -> bool:
    """Whether a sentence of a report names a finding without negating it.

    >>> states("No effusion or pneumothorax.", "pneumothorax")
    False
    """
    return finding in findings_in(sentence) and not _NEGATION.search(sentence.lower())
