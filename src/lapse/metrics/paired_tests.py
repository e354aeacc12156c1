"""Two systems on the same samples: which is better, by how much, and could it be chance?

    difference     score of the second minus score of the first, with its bootstrap interval
    p              paired permutation test: the answers of whole patients are exchanged
    p (Holm)       the same, corrected for the number of rows of the table
    effect         the difference divided by the spread of single patients' contributions to it
                   (Cohen's d_z for a mean, its linearised form for a corpus score)

Source: Holm 1979; Good 2005, chapter 3 (permutation tests). Dimension legend: P patients,
K columns, D draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lapse.core.types import Score, Statistics
from lapse.metrics.bootstrap import CHUNK, RESAMPLES, PatientSums, bootstrap_draws, interval_of
from lapse.metrics.statistics import Array

Key = TypeVar("Key")
SLACK = 1e-12  # rounding must not make a difference smaller than the observed one


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of one score between two systems.

    `p_holm` is None until `corrected` sets it from all rows; `effect` is None where single
    patients do not differ at all.
    """

    name: str
    first: float
    second: float
    low: float
    high: float
    p: float
    effect: float | None
    p_holm: float | None = None
    higher_is_better: bool = True
    range: tuple[float, float] | None = None  # of the score, not of the difference

    @property
    def value(self) -> float:
        """Second minus first."""
        return self.second - self.first


def compare(
    first: Mapping[str, Score],
    second: Mapping[str, Score],
    patients: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Difference]:
    """The differences of all scores that are defined with statistics in both, uncorrected.

    Args:
        first: name -> Score of one system.
        second: of the other, on the same samples in the same order.
        patients: [n], every one known.
        resamples: of the permutation test and of the interval.

    Raises:
        ValueError: an unknown patient, or a single one.
    """
    if "" in patients or len(set(patients)) < 2:
        raise ValueError(
            f"a paired test exchanges patients: {list(patients).count('')} samples have none and "
            f"{len(set(patients))} are known; give a file that names them"
        )
    statistics, others = (
        {name: score.statistics for name, score in scores.items() if score.statistics is not None}
        for scores in (first, second)
    )
    names = [
        name
        for name in statistics
        if name in others and not np.isnan([first[name].value, second[name].value]).any()
    ]
    if not names:
        return []
    statistics, others = ({n: part[n] for n in names} for part in (statistics, others))
    p_values = permutation_p(statistics, others, patients, resamples=resamples, seed=seed)
    drawn_first, drawn_second = (
        bootstrap_draws(part, patients, resamples=resamples, seed=seed)
        for part in (statistics, others)
    )
    differences = []
    for name in names:
        drawn = drawn_second[name] - drawn_first[name]
        drawn = drawn[~np.isnan(drawn)]
        if not len(drawn):
            continue
        score, other = first[name], second[name]
        unit = float(drawn.std()) * len(set(patients)) ** 0.5
        effect = (other.value - score.value) / unit if unit > SLACK else None
        difference = Difference(
            name, score.value, other.value, *interval_of(drawn), p_values[name], effect
        )
        is_higher, limits = score.higher_is_better, score.value_range
        differences.append(replace(difference, higher_is_better=is_higher, range=limits))
    return differences


def permutation_p(
    first: Mapping[str, Statistics],
    second: Mapping[str, Statistics],
    patients: Sequence[str],
    *,
    resamples: int,
    seed: int,
) -> dict[str, float]:
    """Two-sided p of each name: how often exchanging patients gives as large a difference.

    The observed arrangement counts as one of the draws, so p is never 0.
    """
    first_sums, second_sums = PatientSums(first, patients), PatientSums(second, patients)
    columns, others, count = first_sums.columns, second_sums.columns, len(first_sums)
    sums, other_sums = first_sums.block(0, count), second_sums.block(0, count)  # [P, K]
    generator = np.random.default_rng(seed)

    def differences(left: Array, right: Array) -> dict[str, Array]:
        return {
            name: second[name].score(right[:, others[name]])
            - first[name].score(left[:, columns[name]])
            for name in first
        }

    same = _same_columns(first, columns, others)
    total, other_total = sums.sum(0), other_sums.sum(0)
    observed = {n: abs(v[0]) for n, v in differences(total[None], other_total[None]).items()}
    as_large = dict.fromkeys(first, 1)
    change = other_sums[:, same] - sums  # [P, K], when a patient is exchanged
    for start in range(0, resamples, CHUNK):
        rows = min(CHUNK, resamples - start)
        exchanged = generator.integers(0, 2, size=(rows, count), dtype=np.int8).astype(np.float64)
        moved = exchanged @ change  # [d, K]
        moved_back = np.zeros((rows, other_sums.shape[1]))
        moved_back[:, same] = moved
        for name, values in differences(total + moved, other_total - moved_back).items():
            as_large[name] += int(np.sum(~(np.abs(values) < observed[name] - SLACK)))
    return {name: count / (resamples + 1) for name, count in as_large.items()}


def _same_columns(
    first: Mapping[str, Statistics], columns: Mapping[str, slice], others: Mapping[str, slice]
) -> NDArray[np.int64]:
    """For each column of the first system the corresponding column of the second."""
    same = np.zeros(max(part.stop for part in columns.values()), dtype=np.int64)
    for name in first:
        columns_of, others_of = columns[name], others[name]
        if columns_of.stop - columns_of.start != others_of.stop - others_of.start:
            raise ValueError(
                f"{name} has different statistics in the two systems: score both again"
            )
        same[columns_of] = np.arange(others_of.start, others_of.stop)
    return same


def corrected(differences: Sequence[Difference]) -> list[Difference]:
    """The same rows with p corrected after Holm for their number, never above 1.

    >>> rows = [Difference(n, 0, 1, 0, 1, p, None) for n, p in (("a", 0.01), ("b", 0.04))]
    >>> [row.p_holm for row in corrected(rows)]
    [0.02, 0.04]
    """
    p_holm = holm({index: row.p for index, row in enumerate(differences)})
    return [replace(row, p_holm=p_holm[index]) for index, row in enumerate(differences)]


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Holm's correction (1979) for the number of tests.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    adjusted: dict[Key, float] = {}
    largest = 0.0
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    for rank, (name, p) in enumerate(ordered):
        largest = max(largest, min(1.0, p * (len(ordered) - rank)))
        adjusted[name] = largest
    return adjusted
