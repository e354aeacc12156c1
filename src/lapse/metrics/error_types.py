"""The types of errors of one answer.

    hallucinated      a finding that the reference does not mention
    omitted           a finding of the reference that is not mentioned
    wrong direction   the right finding with another change: added for missing, a level that
                      rises for one that falls, a level for an addition
    wrong level       a level change in the right direction with a wrong level
    contradiction     one finding has two changes, or "nothing has changed" comes with a change
    unparsed          some words could not be parsed

An answer may have several; an answer without any is right.
"""

from __future__ import annotations

from collections.abc import Mapping

from lapse.core.grammar import FINDINGS, Change, Parsed, contradictions
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
    """Kind -> the findings it is about, () where it is about the answer; {} for a right answer.

    Compares with the first reference. No answer matches a reference that cannot be parsed.
    """
    return compare_changes(item.answer, item.truth)


def compare_changes(answer: Parsed, reference: Parsed) -> dict[str, tuple[str, ...]]:
    """As `error_kinds`, for parsed texts."""
    named, true = _by_finding(answer), _by_finding(reference)
    errors: dict[str, list[str]] = {}
    for name in FINDINGS:
        changes, expected = named.get(name, frozenset()), true.get(name, frozenset())
        if changes != expected:
            errors.setdefault(_kind(changes, expected, name), []).append(name)
    repeated = contradictions(answer.changes)
    if repeated or (answer.is_unchanged and answer.changes):
        errors["contradiction"] = list(repeated)
    if not answer.is_parsed:
        errors["unparsed"] = []
    return {kind: tuple(errors[kind]) for kind in KINDS if kind in errors}


def _kind(changes: frozenset[Change], expected: frozenset[Change], finding: str) -> str:
    if not expected:
        return "hallucinated"
    if not changes:
        return "omitted"
    if len(changes) > 1 or len(expected) > 1:  # a contradiction has no right direction
        return "wrong direction"
    is_level = all(change.kind == "level" for change in changes | expected)
    same_direction = progression_of(changes, finding) == progression_of(expected, finding)
    return "wrong level" if is_level and same_direction else "wrong direction"


def _by_finding(answer: Parsed) -> Mapping[str, frozenset[Change]]:
    changes: dict[str, set[Change]] = {}
    for change in answer.changes:
        changes.setdefault(change.finding, set()).add(change)
    return {name: frozenset(of_finding) for name, of_finding in changes.items()}
