"""Calibration: are the probabilities true, and do they separate right from wrong?

    diagram         of the events with probability 70%, are 70% right? Ten bins of equal size
    ECE             the mean distance between probability and accuracy over those bins
    risk-coverage   when only the events of highest probability are kept, how many are wrong?
    area            the mean of that risk over all fractions kept; lower is better, and it is
                    below the error rate only when the confidence separates right from wrong

Events of equal probability are never separated, so that no number depends on the order of a
file. Intervals draw whole patients with replacement. Resampling raises an ECE, because a bin with
repeated events is noisier; its draws are therefore shifted so that their median is the ECE of the
file. The expected ECE of a perfectly calibrated
system is not zero with finitely many events; it is given with each ECE as "floor".
Sources: Guo et al. 2017 (ECE), Nguyen and O'Connor 2015 (equal-mass bins), Geifman and El-Yaniv
2017 (risk-coverage).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from lapse.core.types import Prediction, Score
from lapse.metrics.bootstrap import draw_weights, interval_of, patient_index
from lapse.metrics.confidence import Event, confidence_events
from lapse.metrics.statistics import FRACTION, Array

NUM_BINS = 10
RESAMPLES = 1000
DRAWS = 200  # of outcomes for the floor


@dataclass(frozen=True, slots=True)
class Bin:
    """Events of similar probability: their mean probability, and the fraction that is right.

    `low` and `high` bound the accuracy (95%, patients resampled).
    """

    probability: float
    accuracy: float
    count: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RiskPoint:
    """When this fraction of the events is kept, this fraction of the kept ones is wrong."""

    coverage: float
    risk: float


class _Table:
    """Events grouped by equal probability, ascending.

    Legend: E events  G groups  P patients
    """

    def __init__(self, events: Sequence[Event]) -> None:
        if not events:
            raise ValueError("calibration needs at least one event, got none")
        values = np.array([event.probability for event in events], dtype=np.float64)
        is_valid = (values >= 0.0) & (values <= 1.0)
        if not np.all(is_valid):
            raise ValueError(f"probability {values[~is_valid][0]} is outside [0, 1]")
        self.probability, group = np.unique(values, return_inverse=True)  # [G], [E]
        self.group = group.reshape(-1)
        self.right = np.array([event.is_right for event in events], dtype=np.float64)
        patients = [event.patient for event in events]
        self.patient, num_patients = patient_index(patients)
        self.num_patients = 0 if "" in patients else num_patients

    def sums(self, weights: Array | None = None) -> tuple[Array, Array]:
        """The number of events and of right events of each group: two [G]."""
        size = len(self.probability)
        count = np.bincount(self.group, weights, size).astype(np.float64)
        right = self.right if weights is None else self.right * weights
        return count, np.bincount(self.group, right, size).astype(np.float64)

    def resampled(
        self, value: Callable[[Array, Array], Array], resamples: int, seed: int
    ) -> Array | None:
        """`value(count, right)` of resamples of the patients: [resamples, ...], or None.

        Bins and order are those of each draw, so they cannot be computed from sums.
        """
        if self.num_patients < 2:
            return None
        draws = chain.from_iterable(draw_weights(self.num_patients, resamples, seed))
        return np.array([value(*self.sums(times[self.patient].astype(float))) for times in draws])

    def bins(self, count: Array, num_bins: int) -> NDArray[np.int64]:
        """The bin of equal mass that holds the middle of each group: [G]."""
        middle = (np.cumsum(count) - count / 2) / count.sum()
        return np.asarray(np.minimum((middle * num_bins).astype(np.int64), num_bins - 1))


def calibration_diagram(
    events: Sequence[Event], *, num_bins: int = NUM_BINS, resamples: int = RESAMPLES, seed: int = 0
) -> list[Bin]:
    """The reliability diagram: bins of about equally many events, without empty ones.

    Raises:
        ValueError: no event, or a probability outside [0, 1].
    """
    table = _Table(events)
    count, right = table.sums()
    index = table.bins(count, num_bins)  # of the file itself; resamples use these bins

    def accuracy(counts: Array, hits: Array) -> Array:
        totals = np.bincount(index, counts, num_bins)
        rights = np.bincount(index, hits, num_bins)
        return np.where(totals > 0, rights / np.maximum(totals, 1e-300), np.nan)

    drawn = table.resampled(accuracy, resamples, seed)
    totals = np.bincount(index, count, num_bins)
    sums = np.bincount(index, count * table.probability, num_bins)
    values = accuracy(count, right)
    bins = []
    for number in np.flatnonzero(totals):
        low, high = (values[number], values[number])
        if drawn is not None:
            low, high = np.nanquantile(drawn[:, number], [0.025, 0.975])
        mean = float(sums[number] / totals[number])
        bins.append(Bin(mean, float(values[number]), int(totals[number]), float(low), float(high)))
    return bins


def calibration_error(
    events: Sequence[Event], *, num_bins: int = NUM_BINS, resamples: int = RESAMPLES, seed: int = 0
) -> Score:
    """ECE over bins of equal mass, with its interval by patient and its floor.

    Raises:
        ValueError: no event, or a probability outside [0, 1].
    """
    table = _Table(events)

    def error(count: Array, right: Array) -> Array:
        gap = np.bincount(table.bins(count, num_bins), right - count * table.probability, num_bins)
        return np.array(np.abs(gap).sum() / count.sum())

    count, right = table.sums()
    size = (DRAWS, len(count))
    outcomes = np.random.default_rng(seed).binomial(count.astype(int), table.probability, size)
    floor = np.mean([error(count, drawn_right) for drawn_right in outcomes.astype(float)])
    details = {
        "events": str(len(events)),
        "bins": f"{num_bins} of equal mass",
        "floor": f"{floor:.4f}",
    }
    value = float(error(count, right))
    drawn = table.resampled(error, resamples, seed)
    if drawn is not None:  # a resample repeats events, which adds noise to every bin
        drawn = np.maximum(0.0, drawn - np.median(drawn) + value)
    return _score("ECE", value, drawn, details)


def risk_coverage(events: Sequence[Event]) -> list[RiskPoint]:
    """Risk at every coverage that does not separate equal probabilities, highest first.

    Raises:
        ValueError: no event, or a probability outside [0, 1].
    """
    table = _Table(events)
    count, right = (part[::-1] for part in table.sums())
    kept = np.cumsum(count)
    wrong = np.cumsum(count - right)
    return [
        RiskPoint(float(coverage), float(risk))
        for coverage, risk in zip(kept / kept[-1], wrong / kept, strict=True)
    ]


def risk_area(events: Sequence[Event], *, resamples: int = RESAMPLES, seed: int = 0) -> Score:
    """Area under the risk-coverage curve: the mean risk of the k most probable events, over all k.

    Among equal probabilities the events are drawn at random, so their mean error counts.
    `details` gives the error rate of all events and the best possible area.

    Raises:
        ValueError: no event, or a probability outside [0, 1].
    """
    table = _Table(events)

    def area(count: Array, right: Array) -> Array:
        repeats = np.rint(count[::-1]).astype(np.int64)
        mean = 1.0 - right[::-1] / np.maximum(count[::-1], 1e-300)
        wrong = np.cumsum(np.repeat(mean, repeats))
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


def confidence_scores(predictions: Sequence[Prediction], *, seed: int = 0) -> dict[str, Score]:
    """ "ECE, changes by beam", "risk area, ..." and so on, with intervals by patient.

    Of every confidence that a predictions file has.
    """
    scores: dict[str, Score] = {}
    for name, events in confidence_events(predictions).items():
        for label, score in (
            ("ECE", calibration_error(events, seed=seed)),
            ("risk area", risk_area(events, seed=seed)),
        ):
            key = f"{label}, {name.replace(', by', ' by')}"
            scores[key] = replace(score, name=key)
    return scores


def _score(name: str, value: float, drawn: Array | None, details: dict[str, str]) -> Score:
    low, high = (None, None) if drawn is None else interval_of(drawn)
    interval = "none: fewer than two patients are known"
    if drawn is not None:
        interval = f"95%, {len(drawn)} resamples by patient"
    details = {**details, "interval": interval}
    return Score(
        name, value, low, high, details=details, higher_is_better=False, value_range=FRACTION
    )
