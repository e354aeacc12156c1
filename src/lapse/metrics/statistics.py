"""Scores as functions of sums over samples: means, shares of a part, precision, recall and F1.

Every builder returns a Score that carries its `Statistics`, so that it can be resampled by
patient without scoring any text again. Dimension legend: n samples, k columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapse.core.types import Score, Statistics

Array = NDArray[np.float64]
MEAN = "mean"  # details["aggregate"] of a score that is the mean of its per-sample values
PARTS = ("precision", "recall", "F1")


def mean_score(name: str, values: Sequence[float], details: Mapping[str, str]) -> Score:
    """The mean of one value a sample.

    Raises:
        ValueError: no value.
    """
    if not len(values):
        raise ValueError(f"{name} is a mean and needs at least one value, got none")
    column = np.asarray(values, dtype=np.float64)
    rows = np.stack([column, np.ones_like(column)], axis=1)  # [n, 2]
    return Score(
        name,
        float(column.sum() / len(column)),
        per_sample=tuple(column.tolist()),
        details={"n": str(len(column)), **details, "aggregate": MEAN},
        statistics=Statistics(rows, ratio),
    )


def share_score(
    name: str,
    hits: Sequence[float] | NDArray[Any],
    counts: Sequence[float] | NDArray[Any],
    details: Mapping[str, str],
) -> Score:
    """Sum of hits over sum of counts: a mean over some of the samples, or a share of findings.

    Args:
        name: of the score.
        hits: [n], 0 for a sample that has no part in it.
        counts: [n], how much each sample weighs.
        details: `n` is set to the sum of the counts, `hits` to that of the hits.

    Raises:
        ValueError: the counts sum to zero: leave the score out instead.
    """
    rows = np.stack([np.asarray(hits, np.float64), np.asarray(counts, np.float64)], axis=1)
    total = rows.sum(axis=0)
    if not total[1]:
        raise ValueError(f"{name} has nothing to be a share of: leave it out")
    found = {"n": f"{total[1]:.0f}", "hits": f"{total[0]:g}"}
    return Score(
        name,
        float(total[0] / total[1]),
        details={**found, **details},
        statistics=Statistics(rows, ratio),
    )


def ratio(sums: Array) -> Array:
    """[..., 2] sums of hits and counts -> [...]; nan where nothing was counted."""
    hits, counts = sums[..., 0], sums[..., 1]
    found: Array = np.divide(hits, counts, out=np.full(counts.shape, np.nan), where=counts != 0)
    return found


def pooled_scores(
    name: str, rows: Array, first: int, details: Mapping[str, str]
) -> dict[str, Score]:
    """Micro precision, recall and F1 of the columns (right, said, true) from `first` on.

    0 / 0 is 0: `details` gives the counts.

    Args:
        name: the scores are called "<name> precision" and so on.
        rows: [n, k] counts of each sample, shared by all scores made from them.
        first: column of `right`.
        details: of every score.
    """
    own = rows[:, first : first + 3]
    right, said, true = (float(value) for value in own.sum(axis=0))
    counts = {"n": str(len(rows)), "right": f"{right:.0f}"}
    counts |= {"said": f"{said:.0f}", "true": f"{true:.0f}", **details}
    found = {}
    for part in PARTS:
        label = f"{name} {part}"
        score = _from_columns(part, first)
        each = tuple(score(rows).tolist()) if part == "F1" and "of" not in details else ()
        found[label] = Score(
            label,
            float(score(rows.sum(axis=0))),
            per_sample=each,
            details=dict(counts),
            statistics=Statistics(rows, score),
        )
    return found


def _from_columns(part: str, first: int) -> Callable[[Any], Any]:
    def score(sums: Array) -> Array:
        right, said, true = (sums[..., first + place] for place in range(3))
        over = {"precision": said, "recall": true, "F1": (said + true) / 2}[part]
        found: Array = np.divide(right, over, out=np.zeros(right.shape), where=over != 0)
        return found

    return score


def macro_score(
    name: str, rows: Array, groups: Sequence[Sequence[int]], details: Mapping[str, str]
) -> Score:
    """The mean over groups of the mean of each group's shares; a share of nothing is left out.

    Args:
        name: of the score.
        rows: [n, 2 m] hits and counts of m shares: columns 2 i and 2 i + 1 belong to share i.
        groups: numbers of the shares of each group.
        details: of the score.
    """

    def score(sums: Array) -> Array:
        shares = np.stack([ratio(sums[..., 2 * i : 2 * i + 2]) for i in _flat(groups)], axis=-1)
        means, first = [], 0
        for group in groups:
            means.append(_mean_of_defined(shares[..., first : first + len(group)]))
            first += len(group)
        return _mean_of_defined(np.stack(means, axis=-1))

    value = float(score(rows.sum(axis=0)))
    return Score(name, value, details=dict(details), statistics=Statistics(rows, score))


def _flat(groups: Sequence[Sequence[int]]) -> list[int]:
    return [number for group in groups for number in group]


def _mean_of_defined(values: Array) -> Array:
    """[..., m] -> [...]; nan where all are."""
    known = ~np.isnan(values)
    pair = np.stack([np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1)], axis=-1)
    return ratio(pair)
