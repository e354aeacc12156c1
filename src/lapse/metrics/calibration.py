"""Are the probabilities true, and do they tell right from wrong?

    reliability     of what was said with 70%, is 70% right? Ten bins of equally many events
    ECE             the mean distance between said and true over those bins
    risk-coverage   when only the surest share of the answers is kept, how many are wrong?
    area            the mean of that risk over all shares; lower is better, and it falls below
                    the plain error rate only when sureness tells right from wrong

Events of equal probability are never parted, so that no number depends on the order of a file.
Intervals draw whole patients with replacement. The expected ECE of a system whose probabilities
are perfectly true is not zero with finitely many events; it is given beside each ECE as "floor".
Sources: Guo et al. 2017 (ECE), Nguyen and O'Connor 2015 (equal-mass bins), Geifman and El-Yaniv
2017 (risk-coverage).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lapse.core.types import Score
from lapse.metrics.bootstrap import draw_weights, interval_of, patient_index
from lapse.metrics.confidence import Event

NUM_BINS = 10
RESAMPLES = 1000
DRAWS = 200  # of outcomes for the floor

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bin:
    """Events of like probability: what was said on average, and how many were right.

    `low` and `high` bound the share that is right (95%, patients drawn anew).
    """

    said: float
    right: float
    count: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RiskPoint:
    """Keeping this share of the surest events, this share of the kept ones is wrong."""

    coverage: float
    risk: float


class _Table:
    """Events grouped by equal probability, ascending.

    Legend: E events  G groups  P patients
    """

    def __init__(self, events: Sequence[Event]) -> None:
        if not events:
            raise ValueError("calibration needs at least one event, got none")
        said = np.array([event.probability for event in events], dtype=np.float64)
        if not np.all((said >= 0.0) & (said <= 1.0)):
            wrong = said[~((said >= 0.0) & (said <= 1.0))][0]
            raise ValueError(f"probability {wrong} lies outside [0, 1]")
        self.said, group = np.unique(said, return_inverse=True)  # [G], [E]
        self.group = group.reshape(-1)
        self.right = np.array([event.is_right for event in events], dtype=np.float64)
        patients = [event.patient for event in events]
        self.patient, known = patient_index(patients)
        self.num_patients = 0 if "" in patients else known

    def sums(self, weights: Numbers | None = None) -> tuple[Numbers, Numbers]:
        """How many events and how many right ones each group holds: two [G]."""
        size = len(self.said)
        count = np.bincount(self.group, weights, size).astype(np.float64)
        right = self.right if weights is None else self.right * weights
        return count, np.bincount(self.group, right, size).astype(np.float64)

    def resampled(
        self, value: Callable[[Numbers, Numbers], Numbers], resamples: int, seed: int
    ) -> Numbers | None:
        """`value(count, right)` of samples with patients drawn anew: [resamples, ...], or None.

        Bins and order are those of each draw, so there are no sums to draw: every draw is
        counted again.
        """
        if self.num_patients < 2:
            return None
        return np.array(
            [
                value(*self.sums(times[self.patient]))
                for weights in draw_weights(self.num_patients, resamples, seed)
                for times in weights
            ]
        )

    def bins(self, count: Numbers, num_bins: int) -> NDArray[np.int64]:
        """Which of the bins of equal mass each group is in, by the middle of the group: [G]."""
        total = count.sum()
        middle = (np.cumsum(count) - count / 2) / total
        places: NDArray[np.int64] = np.minimum((middle * num_bins).astype(np.int64), num_bins - 1)
        return places


def reliability(
    events: Sequence[Event], *, num_bins: int = NUM_BINS, resamples: int = RESAMPLES, seed: int = 0
) -> list[Bin]:
    """The reliability diagram: bins of about equally many events, empty ones left out.

    Raises:
        ValueError: no event, or a probability outside [0, 1].
    """
    table = _Table(events)
    count, right = table.sums()
    places = table.bins(count, num_bins)  # of the file itself; resamples keep these bins

    def shares(times: Numbers, hits: Numbers) -> Numbers:
        held = np.bincount(places, times, num_bins)
        kept = np.bincount(places, hits, num_bins)
        return np.where(held > 0, kept / np.maximum(held, 1e-300), np.nan)

    drawn = table.resampled(shares, resamples, seed)
    held = np.bincount(places, count, num_bins)
    said = np.bincount(places, count * table.said, num_bins)
    share = shares(count, right)
    found = []
    for place in np.flatnonzero(held):
        low, high = (share[place], share[place])
        if drawn is not None:
            low, high = np.nanquantile(drawn[:, place], [0.025, 0.975])
        mean = float(said[place] / held[place])
        found.append(Bin(mean, float(share[place]), int(held[place]), float(low), float(high)))
    return found


def calibration_error(
    events: Sequence[Event], *, num_bins: int = NUM_BINS, resamples: int = RESAMPLES, seed: int = 0
) -> Score:
    """ECE over bins of equal mass, with its interval by patient and its floor.

    Raises:
        ValueError: no event, or a probability outside [0, 1].
    """
    table = _Table(events)

    def error(count: Numbers, right: Numbers) -> Numbers:
        places = table.bins(count, num_bins)
        gap = np.bincount(places, right - count * table.said, num_bins)
        return np.array(np.abs(gap).sum() / count.sum())

    count, right = table.sums()
    generator = np.random.default_rng(seed)
    perfect = [
        float(error(count, generator.binomial(count.astype(np.int64), table.said).astype(float)))
        for _ in range(DRAWS)
    ]
    details = {
        "events": str(len(events)),
        "bins": f"{num_bins} of equal mass",
        "floor": f"{np.mean(perfect):.4f}",
    }
    return _score(
        "ECE", float(error(count, right)), table.resampled(error, resamples, seed), details
    )


def risk_coverage(events: Sequence[Event]) -> list[RiskPoint]:
    """Risk at every share that can be kept without parting equal probabilities, surest first.

    Raises:
        ValueError: no event, or a probability outside [0, 1].
    """
    table = _Table(events)
    count, right = (part[::-1] for part in table.sums())
    kept = np.cumsum(count)
    wrong = np.cumsum(count - right)
    return [
        RiskPoint(float(share), float(risk))
        for share, risk in zip(kept / kept[-1], wrong / kept, strict=True)
    ]


def risk_area(events: Sequence[Event], *, resamples: int = RESAMPLES, seed: int = 0) -> Score:
    """Area under the risk-coverage curve: the mean risk of the k surest, over all k.

    Among equal probabilities the k surest are drawn at random, so their mean error counts.
    `details` gives the error rate without a choice and the best area an ordering could have.

    Raises:
        ValueError: no event, or a probability outside [0, 1].
    """
    table = _Table(events)

    def area(count: Numbers, right: Numbers) -> Numbers:
        whole = np.rint(count[::-1]).astype(np.int64)
        mean = 1.0 - right[::-1] / np.maximum(count[::-1], 1e-300)
        wrong = np.cumsum(np.repeat(mean, whole))
        return np.array((wrong / np.arange(1, len(wrong) + 1)).mean())

    count, right = table.sums()
    total = int(count.sum())
    num_wrong = total - int(right.sum())
    best = np.maximum(0, np.arange(1, total + 1) - (total - num_wrong)) / np.arange(1, total + 1)
    details = {
        "events": str(total),
        "error rate": f"{num_wrong / total:.4f}",
        "best possible": f"{best.mean():.4f}",
    }
    drawn = table.resampled(area, resamples, seed)
    return _score("risk-coverage area", float(area(count, right)), drawn, details)


def _score(name: str, value: float, drawn: Numbers | None, details: dict[str, str]) -> Score:
    if drawn is None:
        return Score(name, value, details=details)
    low, high = interval_of(drawn)
    told = {**details, "interval": f"95%, {len(drawn)} resamples by patient"}
    return Score(name, value, low, high, details=told)
