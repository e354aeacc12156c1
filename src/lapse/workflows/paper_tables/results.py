"""Scores of a row over its seeds -> one cell each: value, intervals, and the test against ours.

Legend: S seeds  n samples

    value            mean over seeds
    seeds            lowest and highest of them, and their standard deviation
    patients         95% interval of that mean when whole patients are drawn anew, the same draw
                     for all seeds: the answers of one patient under S seeds are no S patients
    p                two-sided, of the difference from ours: the answers of whole patients change
                     places and the score is computed anew, so that a corpus score such as BLEU is
                     tested as one; corrected by Holm over the rows of a column
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lapse.core.types import Score, Statistics
from lapse.metrics.bootstrap import with_intervals
from lapse.metrics.paired_tests import compare
from lapse.metrics.statistics import Array
from lapse.workflows.paper_tables.spec import RowSpec

Found = Mapping[str, Score]  # "task/score" -> Score
Curve = tuple[tuple[int, float], ...]  # (step, held-out loss)


@dataclass(frozen=True, slots=True)
class Cell:
    """One score of one row. None: not known (one seed, no interval, ours itself)."""

    value: float
    low_seed: float
    high_seed: float
    deviation: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclass(frozen=True, slots=True)
class RowResult:
    """What a row came to.

    Attributes:
        row: of the table.
        scores: for each seed, "task/score" -> Score; () where it did not run.
        patients: task -> patient of each sample, in the order of the scores' statistics.
        curves: preset -> (step, held-out loss) of each run at the first seed, in order.
        parameters: at the paper's scale, all and trained, of each run in order.
        reason: why it did not run, "" where it did.
    """

    row: RowSpec
    scores: tuple[Found, ...] = ()
    patients: Mapping[str, tuple[str, ...]] | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    parameters: tuple[tuple[int, int], ...] = ()
    reason: str = ""

    @property
    def curve(self) -> Curve:
        """Of the last run, the one that answers."""
        return tuple(self.curves.values())[-1] if self.curves else ()

    @property
    def not_falling(self) -> tuple[str, ...]:
        """Presets of the runs whose held-out loss did not end lower than it began."""
        return tuple(
            name
            for name, curve in self.curves.items()
            if len(curve) > 1 and curve[-1][1] >= curve[0][1]
        )


def cells(
    rows: Sequence[RowResult], columns: Sequence[str], ours: str
) -> dict[str, dict[str, Cell]]:
    """Row key -> column ("task/score") -> cell; p compares each row with `ours`."""
    found: dict[str, dict[str, Cell]] = {row.row.key: {} for row in rows}
    (mine,) = [row for row in rows if row.row.key == ours]
    tested = {row.row.key: _p_values(mine, row, columns) for row in rows if row.row.key != ours}
    for column in columns:
        for row in rows:
            if row.scores and all(column in scores for scores in row.scores):
                found[row.row.key][column] = _cell(row, column)
        for key, p in holm({k: own[column] for k, own in tested.items() if column in own}).items():
            found[key][column] = replace(found[key][column], p=p)
    return found


def _cell(row: RowResult, column: str) -> Cell:
    scores = [found[column] for found in row.scores]
    values = [score.value for score in scores]
    mean = sum(values) / len(values)
    if len(scores) == 1:
        return Cell(mean, mean, mean, None, scores[0].low, scores[0].high)
    patients = (row.patients or {}).get(column.split("/")[0], ())
    whole = with_intervals(over_seeds([column], row.scores), patients).get(column)
    deviation = float(np.std(values, ddof=1))
    low, high = (whole.low, whole.high) if whole else (None, None)
    return Cell(mean, min(values), max(values), deviation, low, high)


def _p_values(mine: RowResult, row: RowResult, columns: Sequence[str]) -> dict[str, float]:
    """Column -> p of a row against ours, for the columns that can be tested.

    Not tested: a row that did not run, has another number of seeds or other patients, patients
    that are unknown or a single one, and scores without statistics.
    """
    if not row.scores or len(mine.scores) != len(row.scores):
        return {}
    found: dict[str, float] = {}
    for task in dict.fromkeys(column.split("/")[0] for column in columns):
        patients = (mine.patients or {}).get(task, ())
        same = patients == (row.patients or {}).get(task)
        if not same or "" in patients or len(set(patients)) < 2:
            continue
        own = [column for column in columns if column.split("/")[0] == task]
        one, two = (over_seeds(own, part.scores) for part in (mine, row))
        found |= {item.name: item.p for item in compare(one, two, patients)}
    return found


def over_seeds(columns: Sequence[str], seeds: Sequence[Found]) -> dict[str, Score]:
    """The mean over seeds of every score, with the statistics of all seeds side by side.

    Left out: a score that a seed lacks, or lacks the statistics of.
    """
    found: dict[str, Score] = {}
    kept: dict[tuple[int, ...], Array] = {}  # rows that several scores share stay shared
    for column in columns:
        scores = [one[column] for one in seeds if column in one]
        parts = [score.statistics for score in scores if score.statistics is not None]
        if parts and len(parts) == len(seeds):
            key = tuple(id(part.rows) for part in parts)
            if key not in kept:
                kept[key] = np.concatenate([part.rows for part in parts], axis=1)  # [n, S k]
            value = sum(score.value for score in scores) / len(scores)
            statistics = Statistics(kept[key], _mean_of(parts))
            found[column] = Score(column, value, statistics=statistics)
    return found


def _mean_of(parts: Sequence[Statistics]) -> Callable[[Array], Array]:
    """[..., S k] sums of all seeds -> the mean of their scores."""
    ends = np.cumsum([part.rows.shape[1] for part in parts])[:-1]

    def mean(sums: Array) -> Array:
        blocks = np.split(sums, ends, axis=-1)
        found: Array = np.mean(
            [part.score(block) for part, block in zip(parts, blocks, strict=True)], axis=0
        )
        return found

    return mean


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction (1979) for the number of tests.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    found: dict[str, float] = {}
    largest = 0.0
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    for rank, (name, p) in enumerate(ordered):
        largest = max(largest, min(1.0, p * (len(ordered) - rank)))
        found[name] = largest
    return found
