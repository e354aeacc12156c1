"""Bootstrap intervals: whole patients are drawn with replacement, then every score is recomputed.

Answers about one patient are correlated, so an interval that drew samples would be too narrow.
Only sums are resampled (`types.Statistics`): the counts of a draw times the sums of each patient
are one matrix product for all scores, corpus BLEU and pooled F1 included. Source: Efron and
Tibshirani 1993, percentile intervals; Davison and Hinkley 1997, section 3.8, clusters.
Dimension legend: n samples, P patients, K columns, D draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lapse.core.types import Score, Statistics
from lapse.metrics.statistics import ratio

RESAMPLES = 2000
MIN_PATIENTS = 50  # with fewer, the intervals cover the true value too rarely
LEVEL = 0.95
CHUNK = 128  # draws in memory at once; it decides the draws of a seed, so it is not an option

Array = NDArray[np.float64]


def bootstrap_interval(
    values: Sequence[float], patients: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """95% interval of the mean of `values` when whole patients are drawn with replacement.

    Args:
        values: [n], one per sample.
        patients: [n], the patient of each sample.
        resamples: number of draws of the patients.
        seed: of the drawing.

    Raises:
        ValueError: no value, or not one patient for each value.
    """
    if not values or len(values) != len(patients):
        raise ValueError(
            f"an interval needs one patient per value, got {len(values)} values and "
            f"{len(patients)} patients"
        )
    rows = np.stack([np.asarray(values, np.float64), np.ones(len(values))], axis=1)
    statistics = {"mean": Statistics(rows, ratio)}
    drawn = bootstrap_draws(statistics, patients, resamples=resamples, seed=seed)["mean"]
    return interval_of(drawn)


def with_intervals(
    scores: Mapping[str, Score],
    patients: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Score]:
    """The scores with their 95% intervals by patient, in their order.

    A score has no interval where it has no statistics, where the patient of a sample is unknown,
    or where there is only one patient; `details["interval"]` gives the reason. Resamples that do
    not define a score (0 / 0) are left out and counted in `details["undefined resamples"]`.

    Args:
        scores: of the same samples, in the order of `patients`.
        patients: [n], "" where unknown.
        resamples: number of draws of the patients.
        seed: of the drawing.
    """
    statistics = {n: s.statistics for n, s in scores.items() if s.statistics is not None}
    reason = ""
    if "" in patients:
        reason = f"none: the patient of {list(patients).count('')} samples is unknown"
    elif len(set(patients)) < 2:
        reason = "none: one patient only"
    drawn = {}
    if statistics and not reason:
        drawn = bootstrap_draws(statistics, patients, resamples=resamples, seed=seed)
    num_patients = len(set(patients))
    label = f"95%, {resamples} resamples of {num_patients} patients"
    result = {}
    for name, score in scores.items():
        low, high = (None, None) if name not in drawn else _bounds(drawn[name])
        note = label if low is not None else reason or "none: undefined in most resamples"
        if name not in statistics:
            note = "none: no statistics of single samples"
        details = {**score.details, "interval": note}
        if low is not None:
            details["patients"] = str(num_patients)
        if name in drawn and (undefined := int(np.isnan(drawn[name]).sum())):
            details["undefined resamples"] = f"{undefined} of {resamples}, left out"
        result[name] = replace(score, low=low, high=high, details=details)
    return result


def bootstrap_draws(
    statistics: Mapping[str, Statistics], patients: Sequence[str], *, resamples: int, seed: int
) -> dict[str, Array]:
    """Name -> [D] the score on each resample of the patients; the draws are the same for all.

    Raises:
        ValueError: not one row per sample, or fewer than one resample.
    """
    if resamples < 1:
        raise ValueError(f"{resamples} resamples: at least one is needed")
    totals, columns = patient_sums(statistics, patients)
    drawn: dict[str, list[Array]] = {name: [] for name in statistics}
    for weights in draw_weights(len(totals), resamples, seed):
        sums = weights @ totals  # [d, K]
        for name, item in statistics.items():
            drawn[name].append(item.score(sums[:, columns[name]]))
    return {name: np.concatenate(parts) for name, parts in drawn.items()}


def patient_sums(
    statistics: Mapping[str, Statistics], patients: Sequence[str]
) -> tuple[Array, dict[str, slice]]:
    """[P, K] the sums of every patient, and the columns of each name.

    Rows that several names share are summed once.
    """
    index, count = patient_index(patients)
    order = np.argsort(index, kind="stable")
    starts = np.searchsorted(index[order], np.arange(count))
    is_sorted = bool(np.all(order[:-1] < order[1:]))
    by_rows: dict[int, slice] = {}
    columns: dict[str, slice] = {}
    width = 0
    for name, item in statistics.items():
        if len(item.rows) != len(patients):
            raise ValueError(
                f"{name} has {len(item.rows)} rows of statistics and there are {len(patients)} "
                "samples"
            )
        if id(item.rows) not in by_rows:
            by_rows[id(item.rows)] = slice(width, width + item.rows.shape[1])
            width += item.rows.shape[1]
        columns[name] = by_rows[id(item.rows)]
    sums = np.empty((count, width))  # filled in place: a copy would double the largest array
    rows_by_id = {id(item.rows): item.rows for item in statistics.values()}
    for key, part in by_rows.items():
        rows = rows_by_id[key] if is_sorted else rows_by_id[key][order]
        np.add.reduceat(rows, starts, axis=0, dtype=np.float64, out=sums[:, part])
    return sums, columns


def patient_index(patients: Sequence[str]) -> tuple[NDArray[np.int64], int]:
    """[n] the number of each sample's patient in order of appearance, and how many there are."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(patients))}
    return np.array([numbers[name] for name in patients], dtype=np.int64), len(numbers)


def interval_of(drawn: Array) -> tuple[float, float]:
    """The middle 95% of the draws."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def _bounds(drawn: Array) -> tuple[float | None, float | None]:
    """The interval over the draws that define the score; None where fewer than half do."""
    defined = drawn[~np.isnan(drawn)]
    if 2 * len(defined) < len(drawn):
        return None, None
    return interval_of(defined)


def draw_weights(num_patients: int, resamples: int, seed: int) -> Iterator[Array]:
    """[d, P] how often each patient is in each draw; a function of the seed."""
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, CHUNK):
        rows = min(CHUNK, resamples - start)
        drawn = generator.integers(0, num_patients, size=(rows, num_patients), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * num_patients
        counts = np.bincount(drawn.ravel(), minlength=rows * num_patients)
        yield counts.reshape(rows, num_patients).astype(np.float64)
