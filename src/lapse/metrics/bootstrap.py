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
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from lapse.core.types import Score, Statistics
from lapse.metrics.statistics import Array

RESAMPLES = 2000
MIN_PATIENTS = 50  # with fewer, the intervals cover the true value too rarely
LEVEL = 0.95
CHUNK = 128  # draws in memory at once
BLOCK = 4096  # patients whose sums are in memory as 64-bit numbers at once


def with_intervals(
    scores: Mapping[str, Score],
    patients: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Score]:
    """The scores with their 95% intervals by patient, in their order.

    A score has no interval where it is undefined or withheld, where it has no statistics, where
    the patient of a sample is unknown, or where there is only one patient; `details["interval"]`
    gives the reason. Resamples that do not define a score (0 / 0) are left out and counted in
    `details["undefined resamples"]`.

    Args:
        scores: of the same samples, in the order of `patients`.
        patients: [n], "" where unknown.
        resamples: number of draws of the patients.
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
        if np.isnan(score.value):
            low, high = None, None
            withheld = score.details.get("withheld")
            note = f"none: withheld, {withheld}" if withheld else "none: undefined, 0 / 0"
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
    sums = PatientSums(statistics, patients)
    drawn: dict[str, list[Array]] = {name: [] for name in statistics}
    for weights in draw_weights(len(sums), resamples, seed):
        totals = sums.weighted(weights)  # [d, K]
        for name, item in statistics.items():
            drawn[name].append(item.score(totals[:, sums.columns[name]]))
    return {name: np.concatenate(parts) for name, parts in drawn.items()}


class PatientSums:
    """The sums of the statistics of every patient, [P, K]; small counts stay small integers.

    Args:
        statistics: name -> statistics of the same samples.
        patients: [n], the patient of each sample.

    Attributes:
        columns: the columns of each name; rows that several names share are summed once.

    Raises:
        ValueError: not one row per sample.
    """

    def __init__(self, statistics: Mapping[str, Statistics], patients: Sequence[str]) -> None:
        index, self._count = patient_index(patients)
        order = np.argsort(index, kind="stable")
        starts = np.searchsorted(index[order], np.arange(self._count))
        is_sorted = bool(np.all(order[:-1] < order[1:]))
        most = int(np.bincount(index).max()) if len(index) else 0  # samples of one patient
        by_rows: dict[int, slice] = {}
        self._parts: list[NDArray[np.float64] | NDArray[np.unsignedinteger]] = []
        self.columns: dict[str, slice] = {}
        width = 0
        for name, item in statistics.items():
            rows = item.rows
            if len(rows) != len(patients):
                raise ValueError(
                    f"{name} has {len(rows)} rows of statistics and there are {len(patients)} "
                    "samples"
                )
            if id(rows) not in by_rows:
                by_rows[id(rows)] = slice(width, width + rows.shape[1])
                width += rows.shape[1]
                dtype = np.min_scalar_type(255 * most) if rows.dtype == np.uint8 else np.float64
                ordered = rows if is_sorted else rows[order]
                self._parts.append(np.add.reduceat(ordered, starts, axis=0, dtype=dtype))
            self.columns[name] = by_rows[id(rows)]

    def __len__(self) -> int:
        return self._count

    def block(self, start: int, stop: int) -> Array:
        """[stop - start, K] the sums of consecutive patients."""
        return np.concatenate([part[start:stop] for part in self._parts], axis=1, dtype=np.float64)

    def weighted(self, weights: NDArray[np.uint16]) -> Array:
        """[d, P] how often each patient counts -> [d, K] the sums of all patients."""
        ranges = ((start, start + BLOCK) for start in range(0, self._count, BLOCK))
        return reduce(np.add, (weights[:, i:j].astype(float) @ self.block(i, j) for i, j in ranges))


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


def draw_weights(num_patients: int, resamples: int, seed: int) -> Iterator[NDArray[np.uint16]]:
    """[d, P] how often each patient is in each draw; a function of the seed."""
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, CHUNK):
        weights = np.empty((min(CHUNK, resamples - start), num_patients), dtype=np.uint16)
        for row in weights:
            drawn = generator.integers(0, num_patients, size=num_patients, dtype=np.int32)
            row[:] = np.bincount(drawn, minlength=num_patients)
        yield weights
