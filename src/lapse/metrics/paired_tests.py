"""Two systems on the same samples: is one better, by how much, and could it be chance?

    difference     score of the second minus score of the first, with its bootstrap interval
    p              paired permutation test: the answers of whole patients change places
    p (Holm)       the same, corrected for the number of rows of the table
    effect         the difference over the spread of single patients' contributions to it
                   (Cohen's d_z for a mean, its linearised form for a corpus score)

Source: Holm 1979; Good 2005, chapter 3 (permutation tests). Dimension legend: P patients,
K columns, D draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lapse.core.types import Score, Statistics
from lapse.metrics.bootstrap import (
    CHUNK,
    RESAMPLES,
    bootstrap_draws,
    interval_of,
    patient_index,
    patient_sums,
)

Array = NDArray[np.float64]
SLACK = 1e-12  # a difference that only rounding makes smaller is as large as the observed one


@dataclass(frozen=True, slots=True)
class Difference:
    """How one score of two systems differs; `p_holm` is None until `corrected` has seen all rows.

    `effect` is None where single patients do not differ at all.
    """

    name: str
    first: float
    second: float
    low: float
    high: float
    p: float
    effect: float | None
    p_holm: float | None = None

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
    """The differences of all scores that both systems have statistics for, uncorrected.

    Args:
        first: name -> Score of one system.
        second: of the other, on the same samples in the same order.
        patients: [n], every one known.
        resamples: of the permutation test and of the interval.
        seed: of both.

    Raises:
        ValueError: an unknown patient, or a single one.
    """
    if "" in patients or len(set(patients)) < 2:
        raise ValueError(
            f"a paired test exchanges patients: {list(patients).count('')} samples have none and "
            f"{len(set(patients))} are known; give a file that names them"
        )
    names = [name for name in first if name in second]
    ours, theirs = ({n: found[n].statistics for n in names} for found in (first, second))
    shared = [n for n in names if ours[n] is not None and theirs[n] is not None]
    one = {n: item for n in shared if (item := ours[n]) is not None}
    two = {n: item for n in shared if (item := theirs[n]) is not None}
    if not shared:
        return []
    p_values = permutation_p(one, two, patients, resamples=resamples, seed=seed)
    drawn_one = bootstrap_draws(one, patients, resamples=resamples, seed=seed)
    drawn_two = bootstrap_draws(two, patients, resamples=resamples, seed=seed)
    found = []
    for name in shared:
        spread = drawn_two[name] - drawn_one[name]
        spread = spread[~np.isnan(spread)]
        if not len(spread):
            continue
        low, high = interval_of(spread)
        difference = second[name].value - first[name].value
        unit = float(spread.std()) * len(set(patients)) ** 0.5
        effect = difference / unit if unit > SLACK else None
        found.append(
            Difference(
                name, first[name].value, second[name].value, low, high, p_values[name], effect
            )
        )
    return found


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
    one, columns = patient_sums(first, patients)  # [P, K]
    two, others = patient_sums(second, patients)
    _, count = patient_index(patients)
    generator = np.random.default_rng(seed)

    def differences(left: Array, right: Array) -> dict[str, Array]:
        return {
            name: second[name].score(right[:, others[name]])
            - first[name].score(left[:, columns[name]])
            for name in first
        }

    same = _same_columns(first, columns, others)
    seen = {n: abs(v[0]) for n, v in differences(one.sum(0)[None], two.sum(0)[None]).items()}
    as_large = dict.fromkeys(first, 1)
    change = two[:, same] - one  # [P, K]: what a patient adds when its answers change places
    total_one, total_two = one.sum(0), two.sum(0)
    for start in range(0, resamples, CHUNK):
        rows = min(CHUNK, resamples - start)
        swapped = generator.integers(0, 2, size=(rows, count), dtype=np.int8).astype(np.float64)
        moved = swapped @ change  # [d, K]
        back = np.zeros((rows, two.shape[1]))
        back[:, same] = moved
        for name, values in differences(total_one + moved, total_two - back).items():
            as_large[name] += int(np.sum(~(np.abs(values) < seen[name] - SLACK)))
    return {name: count / (resamples + 1) for name, count in as_large.items()}


def _same_columns(
    first: Mapping[str, Statistics], columns: Mapping[str, slice], others: Mapping[str, slice]
) -> NDArray[np.int64]:
    """For each column of the first system the column of the second that means the same."""
    width = max(place.stop for place in columns.values())
    found = np.zeros(width, dtype=np.int64)
    for name in first:
        mine, theirs = columns[name], others[name]
        if mine.stop - mine.start != theirs.stop - theirs.start:
            raise ValueError(f"{name} has other statistics in the two systems: score both anew")
        found[mine] = np.arange(theirs.start, theirs.stop)
    return found


def corrected(differences: Sequence[Difference]) -> list[Difference]:
    """The same rows with p corrected after Holm for their number, never above 1.

    >>> rows = [Difference(n, 0, 1, 0, 1, p, None) for n, p in (("a", 0.01), ("b", 0.04))]
    >>> [row.p_holm for row in corrected(rows)]
    [0.02, 0.04]
    """
    order = sorted(range(len(differences)), key=lambda place: differences[place].p)
    found = list(differences)
    worst = 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, differences[place].p * (len(order) - rank)))
        found[place] = replace(differences[place], p_holm=worst)
    return found
