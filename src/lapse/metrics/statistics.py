"""Scores as functions of sums over samples: means, fractions, precision, recall and F1.

Every function returns Scores with their `Statistics`, so that they can be resampled by patient
without scoring any text again. Dimension legend: n samples, k columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from lapse.core.types import Prediction, Score, Statistics

Array = NDArray[np.float64]
Counts = NDArray[np.float64] | NDArray[np.uint8]  # rows of small counts, one byte each
MEAN = "mean"  # details["aggregate"] of a score that is the mean of its per-sample values
FRACTION = (0.0, 1.0)  # range of a fraction
PARTS = ("precision", "recall", "F1")


def check_single_reference(predictions: Sequence[Prediction], source: str) -> None:
    """Refuse samples with several references for scores that compare with one.

    Raises:
        ValueError: how many samples have several, and the first.
    """
    several = [item.id for item in predictions if len(set(item.references)) > 1]
    if several:
        raise ValueError(
            f"{source}: {len(several)} of {len(predictions)} samples have several references, the "
            f"first is {several[0]!r}: these scores compare with one, so keep one per sample"
        )


def mean_score(
    name: str,
    values: Sequence[float],
    details: Mapping[str, str],
    *,
    higher_is_better: bool = True,
    value_range: tuple[float, float] | None = None,
) -> Score:
    """The mean of one value per sample.

    Raises:
        ValueError: no value.
    """
    if not len(values):
        raise ValueError(f"{name} is a mean and needs at least one value, got none")
    column = np.asarray(values, dtype=np.float64)
    rows = np.stack([column, np.ones_like(column)], axis=1)  # [n, 2]
    counts = {"n": str(len(column)), "events": str(len(column))}
    return Score(
        name,
        float(column.sum() / len(column)),
        per_sample=shared_floats(column),
        details={**counts, **details, "aggregate": MEAN},
        statistics=Statistics(rows, ratio, itemgetter(1)),
        higher_is_better=higher_is_better,
        value_range=value_range,
    )


def error_rate(name: str, is_error: Iterable[bool], details: Mapping[str, str]) -> Score:
    """The fraction of the samples with an error; lower is better."""
    values = list(map(float, is_error))
    return mean_score(name, values, details, higher_is_better=False, value_range=FRACTION)


def fraction_score(
    name: str,
    hits: Sequence[float] | Array,
    counts: Sequence[float] | Array,
    details: Mapping[str, str],
    *,
    higher_is_better: bool = True,
) -> Score:
    """Sum of hits over sum of counts: a mean over some of the samples, or a rate of findings.

    Args:
        hits: [n], 0 for a sample that does not count.
        counts: [n], the weight of each sample.
        details: `n` is set to the sum of the counts, `hits` to that of the hits.
        higher_is_better: False for a rate of errors.

    Raises:
        ValueError: the counts sum to zero: omit the score instead.
    """
    rows = np.stack([np.asarray(hits, np.float64), np.asarray(counts, np.float64)], axis=1)
    total = rows.sum(axis=0)
    if not total[1]:
        raise ValueError(f"{name} has a denominator of zero: omit it")
    count = f"{total[1]:.0f}"
    return Score(
        name,
        float(total[0] / total[1]),
        details={"n": count, "hits": f"{total[0]:g}", "events": count, **details},
        statistics=Statistics(rows, ratio, itemgetter(1)),
        higher_is_better=higher_is_better,
        value_range=FRACTION,
    )


def shared_floats(values: Array) -> tuple[float, ...]:
    """[n] as Python numbers, equal ones as one object: most scores have few different values."""
    shared: dict[float, float] = {}
    return tuple(
        math.nan if math.isnan(value) else shared.setdefault(value, value)
        for value in values.tolist()
    )


def ratio(sums: Array) -> Array:
    """[..., 2] sums of hits and counts -> [...]; nan where the count is 0."""
    hits, counts = sums[..., 0], sums[..., 1]
    values: Array = np.divide(hits, counts, out=np.full(counts.shape, np.nan), where=counts != 0)
    return values


def pooled_scores(
    name: str, rows: Counts, first: int, details: Mapping[str, str]
) -> dict[str, Score]:
    """Micro precision, recall and F1 from the columns (correct, predicted, true).

    0 / 0 is undefined (nan). `details` gives the counts; "events" is the number of changes that
    the score rests on: predicted, true, or either of them for F1.

    Args:
        name: prefix of the scores: "<name> precision" and so on.
        rows: [n, k] counts of each sample; all scores of one metric share this array.
        first: index of the column `correct`.
    """
    correct, predicted, true = (float(value) for value in rows[:, first : first + 3].sum(axis=0))
    counts = {"n": str(len(rows)), "correct": f"{correct:.0f}"}
    counts |= {"predicted": f"{predicted:.0f}", "true": f"{true:.0f}", **details}
    scores = {}
    for part in PARTS:
        label = f"{name} {part}"
        score = _from_columns(part, first)
        statistics = Statistics(rows, score, _events(part, first))
        has_samples = part == "F1" and "of" not in details
        samples = rows[:, first : first + 3].astype(np.float64)
        scores[label] = Score(
            label,
            float(score(rows.sum(axis=0, dtype=np.float64))),
            per_sample=shared_floats(_from_columns(part, 0)(samples)) if has_samples else (),
            details={**counts, "events": statistics.num_events()},
            statistics=statistics,
            value_range=FRACTION,
        )
    return scores


def _events(part: str, first: int) -> Callable[[Array], float]:
    def events(sums: Array) -> float:
        correct, predicted, true = (float(value) for value in sums[first : first + 3])
        return {"precision": predicted, "recall": true, "F1": predicted + true - correct}[part]

    return events


def _from_columns(part: str, first: int) -> Callable[[Array], Array]:
    def score(sums: Array) -> Array:
        correct, predicted, true = (sums[..., first + column] for column in range(3))
        over = {"precision": predicted, "recall": true, "F1": (predicted + true) / 2}[part]
        return ratio(np.stack([correct, over], axis=-1))

    return score


def macro_score(
    name: str, rows: Array, groups: Sequence[Sequence[int]], details: Mapping[str, str]
) -> Score:
    """The mean over groups of the mean of each group's fractions; undefined ones are left out.

    Args:
        rows: [n, 2 m] hits and counts of m fractions: columns 2 i and 2 i + 1 are fraction i.
        groups: the fractions of each group.
    """

    def score(sums: Array) -> Array:
        fractions = [[ratio(sums[..., 2 * i : 2 * i + 2]) for i in group] for group in groups]
        means = [_mean_of_defined(np.stack(group, axis=-1)) for group in fractions]
        return _mean_of_defined(np.stack(means, axis=-1))

    return Score(
        name,
        float(score(rows.sum(axis=0))),
        details=dict(details),
        statistics=Statistics(rows, score),
        value_range=FRACTION,
    )


def _mean_of_defined(values: Array) -> Array:
    """[..., m] -> [...]; nan where all are."""
    is_defined = ~np.isnan(values)
    total = np.where(is_defined, values, 0.0).sum(axis=-1)
    return ratio(np.stack([total, is_defined.sum(axis=-1)], axis=-1))
