"""Scores of a row over its seeds -> table cells: value, intervals, and the test against ours.

Legend: S seeds  n samples  k columns of statistics

    value            mean over seeds
    seeds            the lowest and the highest of them, and their standard deviation
    patients         95% bootstrap interval of the mean over patients; a resample is the same for
                     all seeds, because the answers of a patient under S seeds are not S patients
    p                two-sided paired permutation test against ours: the answers of patients are
                     exchanged and the score is computed again, so that a corpus score such as BLEU
                     is tested as one; corrected by Holm's method over the rows of a column
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lapse.core.types import Score, Statistics
from lapse.metrics.bootstrap import with_intervals
from lapse.metrics.paired_tests import compare, holm
from lapse.metrics.statistics import Array
from lapse.workflows.paper_tables.spec import RowSpec

Scores = Mapping[str, Score]  # "task/score" -> Score
Curve = tuple[tuple[int, float], ...]  # (step, validation loss)


@dataclass(frozen=True, slots=True)
class Cell:
    """One score of one row. None: not available (one seed, no interval, ours itself)."""

    value: float
    low_seed: float
    high_seed: float
    deviation: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    direction: str = ""  # "higher, 0 to 1"


Cells = Mapping[str, Mapping[str, Cell]]  # row key -> column ("task/score") -> cell


@dataclass(frozen=True, slots=True)
class RowResult:
    """The scores of a row, or the reason why it did not run.

    Attributes:
        scores: of each seed; () where the row did not run.
        patients: task -> patient of each sample, in the order of the scores' statistics.
        curves: preset -> (step, validation loss) of each run at the first seed, in order.
        parameters: all and trained parameters of each run at the paper's scale, in order.
        reason: why the row did not run, "" where it did.
    """

    row: RowSpec
    scores: tuple[Scores, ...] = ()
    patients: Mapping[str, tuple[str, ...]] | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    parameters: tuple[tuple[int, int], ...] = ()
    reason: str = ""

    @property
    def curve(self) -> Curve:
        """The curve of the last run, which answers the questions."""
        return tuple(self.curves.values())[-1] if self.curves else ()

    @property
    def not_falling(self) -> tuple[str, ...]:
        """Presets of the runs whose last validation loss is not below the first."""
        return tuple(
            name
            for name, curve in self.curves.items()
            if len(curve) > 1 and curve[-1][1] >= curve[0][1]
        )


def cells(
    rows: Sequence[RowResult], columns: Sequence[str], ours: str
) -> dict[str, dict[str, Cell]]:
    """Row key -> column ("task/score") -> cell; p compares each row with `ours`."""
    table = {
        row.row.key: {
            column: _cell(row, column)
            for column in columns
            if row.scores and all(column in s and not np.isnan(s[column].value) for s in row.scores)
        }
        for row in rows
    }
    (our_row,) = [row for row in rows if row.row.key == ours]
    p_of = {row.row.key: _p_values(our_row, row, columns) for row in rows if row.row.key != ours}
    for column in columns:
        p_values = {key: values[column] for key, values in p_of.items() if column in values}
        for key, p in holm(p_values).items():
            table[key][column] = replace(table[key][column], p=p)
    return table


def _cell(row: RowResult, column: str) -> Cell:
    scores = [seed[column] for seed in row.scores]
    values = [score.value for score in scores]
    low, high = scores[0].low, scores[0].high
    deviation = float(np.std(values, ddof=1)) if len(scores) > 1 else None
    if len(scores) > 1:
        patients = (row.patients or {}).get(column.split("/")[0], ())
        combined = with_intervals(over_seeds([column], row.scores), patients).get(column)
        low, high = (combined.low, combined.high) if combined else (None, None)
    mean, direction = sum(values) / len(values), scores[0].direction
    return Cell(mean, min(values), max(values), deviation, low, high, direction=direction)


def _p_values(our_row: RowResult, row: RowResult, columns: Sequence[str]) -> dict[str, float]:
    """Column -> p of a row against ours, for the columns that can be tested.

    Not tested: a row that did not run, has another number of seeds or other patients, unknown
    patients or a single one, and scores without statistics.
    """
    if not row.scores or len(our_row.scores) != len(row.scores):
        return {}
    p_values: dict[str, float] = {}
    for task in dict.fromkeys(column.split("/")[0] for column in columns):
        patients = (our_row.patients or {}).get(task, ())
        is_same = patients == (row.patients or {}).get(task)
        if not is_same or "" in patients or len(set(patients)) < 2:
            continue
        of_task = [column for column in columns if column.split("/")[0] == task]
        first, second = (over_seeds(of_task, item.scores) for item in (our_row, row))
        p_values |= {item.name: item.p for item in compare(first, second, patients)}
    return p_values


def over_seeds(columns: Sequence[str], seeds: Sequence[Scores]) -> dict[str, Score]:
    """The mean over seeds of every score, with the statistics of all seeds as [n, S k].

    A score is left out where a seed lacks it or its statistics.
    """
    combined: dict[str, Score] = {}
    joined: dict[tuple[int, ...], Array] = {}  # scores that share rows keep sharing them
    for column in columns:
        scores = [seed[column] for seed in seeds if column in seed]
        parts = [score.statistics for score in scores if score.statistics is not None]
        if parts and len(parts) == len(seeds):
            key = tuple(id(part.rows) for part in parts)
            if key not in joined:
                joined[key] = np.concatenate([part.rows for part in parts], axis=1)  # [n, S k]
            value = sum(score.value for score in scores) / len(scores)
            combined[column] = Score(
                column,
                value,
                statistics=Statistics(joined[key], _mean_of(parts)),
                higher_is_better=scores[0].higher_is_better,
                value_range=scores[0].value_range,
            )
    return combined


def _mean_of(parts: Sequence[Statistics]) -> Callable[[Array], Array]:
    """[..., S k] sums of all seeds -> the mean of their scores."""
    ends = np.cumsum([part.rows.shape[1] for part in parts])[:-1]

    def mean(sums: Array) -> Array:
        blocks = np.split(sums, ends, axis=-1)
        scores = [part.score(block) for part, block in zip(parts, blocks, strict=True)]
        return np.asarray(np.mean(scores, axis=0))

    return mean
