"""Comparisons of a study with the previous one: the sentences that pretraining removes.

    present in both, same level  -> "no change"     lower level  -> "improved"
                                                    higher level -> "worsened"
    only current -> "worsened" (new)                only previous -> "improved" (resolved)

The relationships of the scene graph contain them even if the report does not.
"""

from __future__ import annotations

from dataclasses import dataclass

from lapse.core.seeding import derive_index
from lapse.phantom.patients.anatomy_locations import attributes_of, regions_of
from lapse.phantom.patients.findings import trend
from lapse.phantom.patients.state import Finding, Visit
from lapse.phantom.text.phrases import Key, Statement, capital

# {0} is capitalized, {1} is not. Some wordings compare in one clause only, so that the removal of
# comparisons can keep the rest of the sentence.
WORDINGS: dict[str, tuple[str, ...]] = {
    "same": (
        "{0} is unchanged since the prior study.",
        "{0} is stable compared to the previous exam.",
        "Compared to the prior, {1} is unchanged.",
        "Again seen is {1}.",
        "{0}, unchanged.",
        "{0}, not significantly changed since ___.",
        "As before, there is {1}.",
        "Stable {1}.",
        "No interval change in {1}.",
        "{0} persists.",
        "{0} is similar in appearance to the prior radiograph.",
        "Redemonstration of {1}.",
    ),
    "more": (
        "{0} has increased since the prior study.",
        "{0} has worsened compared to the previous exam.",
        "Compared to the prior, {1} has increased.",
        "Interval worsening of {1}.",
        "{0}, increased from ___.",
        "Increasing {1}.",
        "{0} has progressed in the interval.",
        "As compared to the previous radiograph, {1} is more extensive.",
        "Interval increase in {1}.",
        "{0} is now more prominent than on the study of ___.",
        "Worsening {1}.",
    ),
    "less": (
        "{0} has decreased since the prior study.",
        "{0} has improved compared to the previous exam.",
        "Compared to the prior, {1} has decreased.",
        "Interval improvement of {1}.",
        "{0}, decreased since ___.",
        "Improving {1}.",
        "{0} is less conspicuous than before.",
        "As compared to the previous radiograph, {1} is less extensive.",
        "Interval decrease in {1}.",
        "{0} continues to improve.",
        "In the interval, {1} has decreased.",
    ),
    "new": (
        "{0} is new since the prior study.",
        "{0} was not seen previously and is new.",
        "Compared to the prior, {1} is new.",
        "Interval development of {1}.",
        "New {1}.",
        "There is new {1}.",
        "{0}, new since ___.",
        "{0} has developed in the interval.",
        "Since the prior study, {1} has appeared.",
        "{0} is newly seen.",
        "There is now {1}.",
    ),
    "gone": (
        "{0} has resolved since the prior study.",
        "Previously seen {1} has resolved.",
        "Compared to the prior, {1} has resolved.",
        "Interval resolution of {1}.",
        "The previously described {1} has resolved.",
        "{0} has resolved in the interval.",
        "There is no longer {1}.",
        "No residual {1} compared to the radiograph of ___.",
        "No {1} is seen, in contrast to the prior study.",
        "In the interval, {1} has resolved.",
        "As compared to the previous radiograph, there is no remaining {1}.",
    ),
}
_DIRECTION = {
    "same": "no change",
    "more": "worsened",
    "less": "improved",
    "new": "worsened",
    "gone": "improved",
}
_WITH_SIDE = ("pleural effusion", "pneumothorax", "atelectasis", "consolidation", "pneumonia")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One finding compared with the previous visit."""

    finding: Finding
    direction: str  # "no change", "improved" or "worsened"
    is_change: bool
    statement: Statement


def compare(before: Visit, after: Visit, key: Key) -> tuple[Comparison, ...]:
    """Compare every finding of either visit; changes come first."""
    old = {item.name: item for item in before.findings}
    new = {item.name: item for item in after.findings}
    comparisons = [_comparison(old.get(name), new.get(name), key) for name in {**new, **old}]
    return tuple(sorted(comparisons, key=lambda item: not item.is_change))


def _comparison(old: Finding | None, new: Finding | None, key: Key) -> Comparison:
    finding = new or old
    assert finding is not None
    kind = trend(old, new)
    name = f"{finding.side} {finding.name}" if finding.name in _WITH_SIDE else finding.name
    if name == "lung opacity":
        name = "airspace opacity"
    texts = WORDINGS[kind]
    text = texts[derive_index(len(texts), *key, "comparison", finding.name)]
    direction = _DIRECTION[kind]
    is_gone = kind == "gone"
    attributes = () if is_gone else attributes_of(finding)
    statement = Statement(
        text=text.format(capital(name), name),
        regions=tuple((region, attributes) for region in regions_of(finding)),
        finding="" if is_gone else finding.name,
        denied=(finding.name,) if is_gone else (),
        comparison=f"comparison|yes|{direction}",
    )
    return Comparison(finding, direction, kind != "same", statement)
