"""Scores of a row over its seeds -> one cell each: value, intervals, and the test against ours.

Legend: S seeds  n samples

    value            mean over seeds
    seeds            lowest and highest of them
    patients         95% interval when whole patients are drawn anew, of the mean over seeds
    p                two-sided, of the difference from ours: whole patients are drawn anew, both
                     rows on the same patients; corrected by Holm over the rows of a column
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lapse.tables import RowSpec
from lapse.types import Score

RESAMPLES = 2000
Found = Mapping[str, Score]  # "task/score" -> Score


@dataclass(frozen=True, slots=True)
class Cell:
    """One score of one row. None: not known (one seed, no interval, ours itself)."""

    value: float
    low_seed: float
    high_seed: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclass(frozen=True, slots=True)
class RowResult:
    """What a row came to.

    Attributes:
        row: of the table.
        scores: for each seed, "task/score" -> Score; () where it did not run.
        patients: task -> patient of each sample, in the order of the per-sample values.
        curve: (step, held-out loss) of the last run at the first seed.
        parameters: at the paper's scale, all and trained, of each run in order.
        reason: why it did not run, "" where it did.
    """

    row: RowSpec
    scores: tuple[Found, ...] = ()
    patients: Mapping[str, tuple[str, ...]] | None = None
    curve: tuple[tuple[int, float], ...] = ()
    parameters: tuple[tuple[int, int], ...] = ()
    reason: str = ""

    @property
    def has_fallen(self) -> bool:
        """Whether the held-out loss ended lower than it began."""
        return len(self.curve) > 1 and self.curve[-1][1] < self.curve[0][1]


def cells(
    rows: Sequence[RowResult], columns: Sequence[str], ours: str
) -> dict[str, dict[str, Cell]]:
    """Row key -> column ("task/score") -> cell; p compares each row with `ours`."""
    found: dict[str, dict[str, Cell]] = {row.row.key: {} for row in rows}
    (mine,) = [row for row in rows if row.row.key == ours]
    for column in columns:
        for row in rows:
            if row.scores and all(column in scores for scores in row.scores):
                found[row.row.key][column] = _cell(row, column)
        tested = {
            row.row.key: p
            for row in rows
            if row.row.key != ours and (p := _p_value(mine, row, column)) is not None
        }
        for key, p in holm(tested).items():
            found[key][column] = replace(found[key][column], p=p)
    return found


def _cell(row: RowResult, column: str) -> Cell:
    scores = [found[column] for found in row.scores]
    values = [score.value for score in scores]
    mean = sum(values) / len(values)
    low: float | None = None
    high: float | None = None
    lows = [score.low for score in scores if score.low is not None]
    highs = [score.high for score in scores if score.high is not None]
    if len(lows) == len(highs) == len(scores):
        low, high = sum(lows) / len(lows), sum(highs) / len(highs)
    return Cell(mean, min(values), max(values), low, high)


def _p_value(mine: RowResult, row: RowResult, column: str) -> float | None:
    """None where either did not run or the score has no value for a single sample."""
    if not mine.scores or not row.scores or mine.patients is None or row.patients is None:
        return None
    one, two = (_per_sample(found, column) for found in (mine, row))
    patients = mine.patients.get(column.split("/")[0], ())
    if one is None or two is None or len(one) != len(two) or len(one) != len(patients):
        return None
    if "" in patients or len(set(patients)) < 2:
        return None
    return paired_p(two - one, patients)


def _per_sample(row: RowResult, column: str) -> NDArray[np.float64] | None:
    values = [found[column].per_sample for found in row.scores if column in found]
    if len(values) < len(row.scores) or not all(values):
        return None
    mean: NDArray[np.float64] = np.mean(np.asarray(values, dtype=np.float64), axis=0)
    return mean


def paired_p(difference: NDArray[np.float64], patients: Sequence[str], *, seed: int = 0) -> float:
    """Two-sided p of "no difference on average", by exchanging the rows of whole patients.

    The arrangement that was observed counts as one of the draws, so p is never 0.

    Args:
        difference: [n], one row minus the other, sample by sample.
        patients: [n], the patient of each sample.
        seed: of the exchanges.
    """
    groups = {name: index for index, name in enumerate(dict.fromkeys(patients))}
    index = np.array([groups[name] for name in patients])
    sums = np.bincount(index, weights=difference, minlength=len(groups))
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(RESAMPLES, len(groups)))
    as_large = np.abs(signs @ sums) >= abs(sums.sum()) - 1e-12
    return float((1 + as_large.sum()) / (1 + RESAMPLES))


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
