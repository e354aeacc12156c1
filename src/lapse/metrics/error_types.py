"""The types of errors of one answer.

    hallucinated      a finding that the reference does not mention
    omitted           a finding of the reference that is not mentioned
    wrong direction   the right finding in the opposite direction: better for worse
    other form, same direction
                      the right finding and direction, such as a rising level for an addition, or
                      one of the two directions that the reference gives the finding
    wrong level       a level change with a wrong level, or levels without an order
    contradiction     one finding has two changes, or "nothing has changed" comes with a change
    unparsed          some words of the answer or of the reference could not be parsed

An answer may have several; an answer without any is right. Hallucinated, omitted and wrong
direction are those of the scores (`lapse.metrics.changes`).
"""

from __future__ import annotations

from lapse.core.changes import Change, by_finding, contradictions
from lapse.core.findings import FINDINGS
from lapse.core.types import Prediction
from lapse.metrics.direction import directions_of

OTHER_FORM = "other form, same direction"
KINDS = (
    "hallucinated",
    "omitted",
    "wrong direction",
    OTHER_FORM,
    "wrong level",
    "contradiction",
    "unparsed",
)


def error_kinds(item: Prediction) -> dict[str, tuple[str, ...]]:
    """Kind -> the findings it is about, () where it is about the answer; {} for a right answer.

    Compares with the first reference. An answer without any change that was read, and an
    answer to a reference that was not read, is "unparsed" and has no other error.
    """
    answer, reference = item.answer, item.truth
    if not reference.is_parsed or not (answer.is_parsed or answer.changes):
        return {"unparsed": ()}  # nothing to compare
    named, true = by_finding(answer.changes), by_finding(reference.changes)
    errors: dict[str, list[str]] = {}
    for name in FINDINGS:
        changes, expected = named.get(name, frozenset()), true.get(name, frozenset())
        if changes != expected:
            errors.setdefault(_kind(changes, expected), []).append(name)
    repeated = contradictions(answer.changes)
    if repeated or (answer.is_unchanged and answer.changes):
        errors["contradiction"] = list(repeated)
    if not answer.is_parsed:
        errors["unparsed"] = []
    return {kind: tuple(errors[kind]) for kind in KINDS if kind in errors}


def _kind(changes: frozenset[Change], expected: frozenset[Change]) -> str:
    if not expected:
        return "hallucinated"
    if not changes:
        return "omitted"
    named, true = directions_of(changes), directions_of(expected)
    if len(named) > 1:
        return "contradiction"  # it has no direction
    if named and true and not named <= true:
        return "wrong direction"
    is_level = all(change.kind == "level" for change in changes | expected)
    return "wrong level" if is_level or not (named and true) else OTHER_FORM
