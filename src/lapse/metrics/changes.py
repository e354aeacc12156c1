"""Change scores: does the answer name the right findings in the right direction?

An answer is a set of changes (`lapse.core.changes`): (finding, added), (finding, missing),
(finding, level, from, to). Order and template words do not count.

    change / added / missing / level    precision, recall, F1, pooled over all answers (micro),
                                        and the same for every finding that occurs
    change F1, fully read               of the answers that are read in full, as their references
                                        are; only where some are not
    level accuracy       of findings with a level change in answer and reference: both levels right
    direction            precision, recall, F1 of (finding, worse or better), whatever the form
    wrong direction      of findings with a direction in both answer and reference: opposite
    hallucination rate   of the findings in answers: not in the reference
    omission rate        of the findings in references: not in the answer
    exact match          the sets are equal; an unparsed answer or reference never matches
    contradiction rate   one finding with two changes, or "nothing has changed" with a change

A ratio of 0 / 0 is undefined (nan), and `details` gives the counts. Where more than a fifth of the
answers or of the references cannot be read, all scores but "unparsed rate" and "change F1, fully
read" are nan, and `details` gives the reason: they would describe the reader, not the system.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lapse.core.changes import KINDS, Change, by_finding, contradictions
from lapse.core.findings import FINDINGS, IDS
from lapse.core.grammar import Parsed
from lapse.core.types import Prediction, Score
from lapse.metrics.direction import directions_of
from lapse.metrics.laterality import laterality_scores
from lapse.metrics.statistics import (
    FRACTION,
    PARTS,
    Counts,
    check_single_reference,
    error_rate,
    fraction_score,
    mean_score,
    pooled_scores,
)

SCOPES = ("change", *KINDS)
FULLY_READ = "change F1, fully read"
MAX_UNREAD = 0.2  # of the answers or of the references; more of them withhold the change scores
ALWAYS_SHOWN = (FULLY_READ, "unparsed rate")
WIDTH = 3 * len(SCOPES) * (1 + len(FINDINGS))  # columns: correct, predicted, true of each scope


class Changes:
    """(predictions) -> precision, recall and F1 of changes, exact match, rates of errors.

    Args:
        max_unread: fraction of unread answers or references above which scores are withheld.
    """

    names = (
        *(f"{scope} {part}" for scope in SCOPES for part in ("precision", "recall", "F1")),
        FULLY_READ,
        *(f"direction {part}" for part in PARTS),
        "exact match",
        "level accuracy",
        "wrong direction",
        "hallucination rate",
        "omission rate",
        "contradiction rate",
        "unparsed rate",
    )

    def __init__(self, *, max_unread: float = MAX_UNREAD) -> None:
        self.max_unread = max_unread

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, Score]:
        """Score against the reference of each prediction.

        Raises:
            ValueError: no prediction, or one with several references.
        """
        if not predictions:
            raise ValueError("change scores need at least one prediction, got none")
        check_single_reference(predictions, "change scores")
        answers = [item.answer for item in predictions]
        references = [item.truth for item in predictions]
        rows = count_changes(answers, references)
        scores: dict[str, Score] = {}
        for index, scope in enumerate(SCOPES):
            scores |= pooled_scores(scope, rows, 3 * index, {})
            if scope == "change":
                scores |= _fully_read(rows[:, :3], [item.is_read for item in predictions])
        scores |= _direction_scores(answers, references)
        details = {"unparsed references": str(sum(not item.is_parsed for item in references))}

        is_exact = list(map(float, map(is_same, answers, references)))
        scores["exact match"] = mean_score("exact match", is_exact, details, value_range=FRACTION)
        scores |= _finding_rates(answers, references)
        errors = {
            "contradiction rate": (
                bool(contradictions(item.changes)) or (item.is_unchanged and bool(item.changes))
                for item in answers
            ),
            "unparsed rate": (not item.is_parsed for item in answers),
        }
        scores |= {name: error_rate(name, column, details) for name, column in errors.items()}
        scores |= laterality_scores(predictions, answers, references, rows[:, :3])
        unread = too_many_unread(answers, references, self.max_unread)
        return withheld(scores | _per_finding(rows), unread)


def too_many_unread(
    answers: Sequence[Parsed], references: Sequence[Parsed], limit: float = MAX_UNREAD
) -> str:
    """Why change scores are withheld: "31 of 100 answers unread"; "" where they are not."""
    parts = []
    for name, items in (("answers", answers), ("references", references)):
        num_unread = sum(not item.is_parsed for item in items)
        if num_unread > limit * len(items):
            parts.append(f"{num_unread} of {len(items)} {name} unread")
    return ", ".join(parts)


def withheld(scores: Mapping[str, Score], reason: str) -> dict[str, Score]:
    """The scores without values where there is a reason; ALWAYS_SHOWN keep theirs."""
    if not reason:
        return dict(scores)
    return {
        name: score if name in ALWAYS_SHOWN else _without_value(score, reason)
        for name, score in scores.items()
    }


def unread_withheld(
    scores: Mapping[str, Score], predictions: Sequence[Prediction]
) -> dict[str, Score]:
    """The scores and "unparsed rate"; without values where too many answers are unread."""
    answers = [item.answer for item in predictions]
    rate = error_rate("unparsed rate", (not answer.is_parsed for answer in answers), {})
    return withheld({**scores, rate.name: rate}, too_many_unread(answers, []))


def _without_value(score: Score, reason: str) -> Score:
    details = {"withheld": reason, "n": score.details.get("n", "0")}
    details |= {key: score.details[key] for key in ("of", "kind") if key in score.details}
    return replace(score, value=np.nan, per_sample=(), details=details, statistics=None)


def _fully_read(rows: Counts, is_read: Sequence[bool]) -> dict[str, Score]:
    """Change F1 of the samples that are read in full; {} if all are."""
    mask = np.array(is_read)
    if mask.all():
        return {}
    details = {"read": f"{mask.sum()} of {len(mask)}"}
    score = pooled_scores("change", rows * mask[:, None], 0, details)["change F1"]
    return {FULLY_READ: replace(score, name=FULLY_READ)}


def count_changes(answers: Sequence[Parsed], references: Sequence[Parsed]) -> Counts:
    """[n, WIDTH] how many changes of each scope are correct, predicted and true.

    The scopes of all findings together come first, then those of finding 0, of finding 1, ...
    """
    rows = np.zeros((len(answers), WIDTH), dtype=np.uint8)  # float64 would be 1 GB per 200,000
    for row, (answer, reference) in enumerate(zip(answers, references, strict=True)):
        sets = (answer.changes & reference.changes, answer.changes, reference.changes)
        for column, changes in enumerate(sets):
            for change in changes:
                for scope in _scopes_of(change):
                    rows[row, 3 * scope + column] += 1
    return rows


def _scopes_of(change: Change) -> tuple[int, int, int, int]:
    """The scopes of a change: all findings and its finding, any kind of change and its kind."""
    kind = 1 + KINDS.index(change.kind) if change.kind in KINDS else SCOPES.index("level")
    finding = len(SCOPES) * (1 + IDS[change.finding])
    return 0, kind, finding, finding + kind


def _direction_scores(answers: Sequence[Parsed], references: Sequence[Parsed]) -> dict[str, Score]:
    named = [directions_of(item.changes) for item in answers]
    true = [directions_of(item.changes) for item in references]
    pairs = zip(named, true, strict=True)
    rows = np.array([(len(a & b), len(a), len(b)) for a, b in pairs], dtype=np.float64)
    return pooled_scores("direction", rows, 0, {})


def _per_finding(rows: Counts) -> dict[str, Score]:
    """Precision, recall and F1 of every finding that any answer or reference names."""
    scores: dict[str, Score] = {}
    totals = rows.sum(axis=0)
    for number, finding in enumerate(FINDINGS):
        for index, scope in enumerate(SCOPES):
            first = 3 * (len(SCOPES) * (1 + number) + index)
            if totals[first + 1] or totals[first + 2]:
                name = finding if scope == "change" else f"{finding} {scope}"
                scores |= pooled_scores(name, rows, first, {"of": finding, "kind": "finding"})
    return scores


def _finding_rates(answers: Sequence[Parsed], references: Sequence[Parsed]) -> dict[str, Score]:
    """Level accuracy, wrong direction, hallucination and omission rate, where they are defined."""
    counts = np.array([_count_findings(*pair) for pair in zip(answers, references, strict=True)])
    names = ("level accuracy", "wrong direction", "hallucination rate", "omission rate")
    columns = zip(names, counts.T[0::2], counts.T[1::2], strict=True)
    details = {"counted": "findings"}
    return {
        name: fraction_score(name, hits, over, details, higher_is_better=name == "level accuracy")
        for name, hits, over in columns
        if over.sum()
    }


def _count_findings(answer: Parsed, reference: Parsed) -> list[int]:
    """Hits and denominators of `_finding_rates`, in its order."""
    named, true = by_finding(answer.changes), by_finding(reference.changes)
    levels = [name for name in named if _kinds(named, name) == _kinds(true, name) == {"level"}]
    num_right = sum(named[name] == true[name] for name in levels)
    pairs = [(directions_of(named[name]), directions_of(true.get(name, ()))) for name in named]
    moved = [(first, second) for first, second in pairs if len(first) == len(second) == 1]
    num_opposite = sum(first != second for first, second in moved)
    hallucinated, omitted = len(named.keys() - true.keys()), len(true.keys() - named.keys())
    return [
        *(num_right, len(levels)),
        *(num_opposite, len(moved)),
        *(hallucinated, len(named)),
        *(omitted, len(true)),
    ]


def _kinds(changes: Mapping[str, Collection[Change]], name: str) -> set[str]:
    return {change.kind for change in changes.get(name, ())}


def is_same(first: Parsed, second: Parsed) -> bool:
    """Whether both are parsed completely and state the same."""
    is_parsed = first.is_parsed and second.is_parsed
    is_equal = first.changes == second.changes and first.is_unchanged == second.is_unchanged
    return is_parsed and is_equal
