"""Change scores: does the answer name the right findings in the right direction?

An answer is a set of changes (`lapse.core.grammar`): (finding, added), (finding, missing),
(finding, level, from, to). Order and template words count nothing.

    change / added / missing / level    precision, recall, F1, pooled over all answers (micro),
                                        and the same for every finding that occurs
    level accuracy       of level changes that answer and truth give one finding: both levels right
    wrong direction      of findings that one calls added or missing and so does the other: opposite
    hallucination rate   of findings in answers: those that the truth does not name at all
    omission rate        of findings in the truth: those that the answer does not name at all
    exact match          the whole set is right; an unread answer or reference never matches
    contradiction rate   one finding with two changes, or "nothing has changed" beside a change

Where nothing was said or nothing was true, a ratio of 0 / 0 is 0, and `details` gives the counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from lapse.core.grammar import FINDINGS, IDS, KINDS, Change, Parsed, contradictions, parse
from lapse.core.types import Prediction, Score
from lapse.metrics.laterality import laterality_scores
from lapse.metrics.statistics import Array, mean_score, pooled_scores, share_score

SCOPES = ("change", *KINDS)
WIDTH = 3 * len(SCOPES) * (1 + len(FINDINGS))  # columns: right, said, true of every scope


class Changes:
    """(predictions) -> precision, recall and F1 of changes, exact match, rates of errors."""

    names = (
        *(f"{scope} {part}" for scope in SCOPES for part in ("precision", "recall", "F1")),
        "exact match",
        "level accuracy",
        "wrong direction",
        "hallucination rate",
        "omission rate",
        "contradiction rate",
        "unparsed rate",
    )

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, Score]:
        """Score the first reference of each prediction.

        Raises:
            ValueError: no prediction.
        """
        if not predictions:
            raise ValueError("change scores need at least one prediction, got none")
        said = [_parsed(item.prediction) for item in predictions]
        true = [_parsed(item.references[0]) for item in predictions]
        rows = count_changes(said, true)
        found: dict[str, Score] = {}
        for place, scope in enumerate(SCOPES):
            found |= pooled_scores(scope, rows, 3 * place, {})
        unread = {"unparsed references": str(sum(not item.is_parsed for item in true))}
        exact = [float(is_same(one, two)) for one, two in zip(said, true, strict=True)]
        found["exact match"] = mean_score("exact match", exact, unread)
        found |= _shares(said, true)
        for name, values in (
            ("contradiction rate", [float(_contradicts_itself(item)) for item in said]),
            ("unparsed rate", [float(not item.is_parsed) for item in said]),
        ):
            found[name] = mean_score(name, values, unread)
        found |= laterality_scores(predictions, said, true, rows[:, :3])
        return found | _per_finding(rows)


@lru_cache(maxsize=200_000)
def _parsed(text: str) -> Parsed:
    return parse(text)


def count_changes(said: Sequence[Parsed], true: Sequence[Parsed]) -> Array:
    """[n, WIDTH] how many changes of each scope were right, said and true.

    The scopes of all findings together come first, then those of finding 0, of finding 1, ...
    """
    rows = np.zeros((len(said), WIDTH))
    for place, (one, two) in enumerate(zip(said, true, strict=True)):
        for column, changes in enumerate((one.changes & two.changes, one.changes, two.changes)):
            for change in changes:
                for scope in _scopes_of(change):
                    rows[place, 3 * scope + column] += 1
    return rows


def _scopes_of(change: Change) -> tuple[int, int, int, int]:
    """Of all findings and of its own: any kind of change, and its kind."""
    kind = 1 + KINDS.index(change.kind)
    own = len(SCOPES) * (1 + IDS[change.finding])
    return 0, kind, own, own + kind


def _per_finding(rows: Array) -> dict[str, Score]:
    """Precision, recall and F1 of every finding that any answer or reference names."""
    found: dict[str, Score] = {}
    totals = rows.sum(axis=0)
    for number, finding in enumerate(FINDINGS):
        for place, scope in enumerate(SCOPES):
            first = 3 * (len(SCOPES) * (1 + number) + place)
            if totals[first + 1] or totals[first + 2]:
                name = finding if scope == "change" else f"{finding} {scope}"
                found |= pooled_scores(name, rows, first, {"of": finding, "kind": "finding"})
    return found


def _shares(said: Sequence[Parsed], true: Sequence[Parsed]) -> dict[str, Score]:
    """Level accuracy, wrong direction, hallucinated and omitted findings, where there are any."""
    counts = np.array([_count_findings(*pair) for pair in zip(said, true, strict=True)])
    found = {}
    names = ("level accuracy", "wrong direction", "hallucination rate", "omission rate")
    for place, name in enumerate(names):
        hits, over = counts[:, 2 * place], counts[:, 2 * place + 1]
        if over.sum():
            found[name] = share_score(name, hits, over, {"counted": "findings"})
    return found


def _count_findings(one: Parsed, two: Parsed) -> list[int]:
    """Hits and denominators of `_shares`, in its order."""
    ours, theirs = _by_finding(one), _by_finding(two)
    levels = [name for name in ours if _kinds(ours, name) == _kinds(theirs, name) == {"level"}]
    right = sum(ours[name] == theirs[name] for name in levels)
    moves = ({"added"}, {"missing"})
    both = [n for n in ours if _kinds(ours, n) in moves and _kinds(theirs, n) in moves]
    wrong = sum(_kinds(ours, name) != _kinds(theirs, name) for name in both)
    made_up, left_out = len(ours.keys() - theirs.keys()), len(theirs.keys() - ours.keys())
    return [right, len(levels), wrong, len(both), made_up, len(ours), left_out, len(theirs)]


def _by_finding(item: Parsed) -> dict[str, set[Change]]:
    found: dict[str, set[Change]] = {}
    for change in item.changes:
        found.setdefault(change.finding, set()).add(change)
    return found


def _kinds(changes: dict[str, set[Change]], name: str) -> set[str]:
    return {change.kind for change in changes.get(name, ())}


def is_same(one: Parsed, two: Parsed) -> bool:
    """Whether both were understood and say the same; an unread reference is never matched."""
    understood = one.is_parsed and two.is_parsed
    return understood and (one.changes, one.is_unchanged) == (two.changes, two.is_unchanged)


def _contradicts_itself(item: Parsed) -> bool:
    return bool(contradictions(item.changes)) or (item.is_unchanged and bool(item.changes))
