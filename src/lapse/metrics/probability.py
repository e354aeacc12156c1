"""From the confidence of a change to the probability that it is right.

    log-odds of the probability = intercept + slope * log-odds of the confidence

The two numbers are fitted by maximum likelihood to all changes that validation answers name, with
the smoothed targets of Platt (1999), so that no probability is exactly 0 or 1. The error is the
ECE of five fits, each measured on the fifth of the patients that it does not use.

The probabilities hold for patients like those of the validation split, and for no others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lapse.core.files import sha256_of, write_text
from lapse.core.json_files import read_json_object
from lapse.core.seeding import derive_permutation
from lapse.core.types import Prediction
from lapse.metrics.calibration import calibration_error
from lapse.metrics.confidence import BEAM, Event, change_of_key, sigmoid
from lapse.metrics.guard import AGREED, GUARD

FORMAT = "lapse-calibration"
SOURCES = {"guard": GUARD, "beam": BEAM}
MIN_CHANGES, MIN_PATIENTS = 100, 30
LIMIT = 0.001  # confidence is read as at least this, and at most 1 less this
FOLDS = 5
STEPS, TOLERANCE = 100, 1e-10  # of Newton's method


@dataclass(frozen=True, slots=True)
class Calibration:
    """How confidence becomes a probability, and what that was measured on.

    Attributes:
        source: "guard" (least share over the readings) or "beam" (fraction of the beam).
        slope, intercept: of the log-odds; the slope is positive.
        changes, right: numbers of named changes, and of those that are true.
        answers, patients: numbers of validation answers and patients.
        error: ECE on patients that the fit does not use.
        floor: expected ECE of perfectly calibrated probabilities for as many changes.
        split: of the data set, such as "validate".
        predictions: SHA-256 of the predictions file; "" where there is none.
    """

    source: str
    slope: float
    intercept: float
    changes: int
    right: int
    answers: int
    patients: int
    error: float
    floor: float
    split: str
    data: str
    predictions: str = ""

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"calibration of {self.source!r}: one of {', '.join(SOURCES)}")
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope > 0):
            raise ValueError(
                f"slope {self.slope} and intercept {self.intercept} of a calibration are not a "
                "positive and a finite number"
            )
        for name in ("error", "floor"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} {getattr(self, name)} of a calibration is not in [0, 1]")

    def probability(self, confidence: float) -> float:
        """The probability of a change with this confidence."""
        return sigmoid(self.intercept + self.slope * _log_odds(confidence))

    def describe(self) -> str:
        """What the probabilities rest on, in one sentence."""
        return (
            f"Probabilities are calibrated on {self.changes} named changes of {self.answers} "
            f"answers about {self.patients} patients ({self.split} split, {self.data}), "
            f"calibration error {self.error:.3f} on held-out patients; they hold for patients "
            "like these only."
        )


def fit_calibration(
    predictions: Sequence[Prediction], *, split: str, data: str, path: Path | None = None
) -> Calibration:
    """Fit the probabilities of changes on validation answers.

    Guarded answers are calibrated by their readings if every prediction has them, others by the
    beam.

    Args:
        predictions: difference answers on validation patients.
        split, data: where they come from, as the calibration records it.
        path: their file, if any.

    Raises:
        ValueError: fewer than 100 changes or 30 patients, no confidence, or confidence that does
            not rise with the fraction of right changes.
    """
    is_guarded = bool(predictions) and all(AGREED in item.confidence for item in predictions)
    source = "guard" if is_guarded else "beam"
    events = list(_events(predictions, SOURCES[source]))
    patients = len({event.patient for event in events})
    num_right = sum(event.is_right for event in events)
    if len(events) < MIN_CHANGES or patients < MIN_PATIENTS:
        raise ValueError(
            f"{len(events)} changes of {patients} patients have a confidence: a calibration needs "
            f"at least {MIN_CHANGES} changes of {MIN_PATIENTS} patients, predicted with "
            "--guarded or --confidence beam"
        )
    slope, intercept = _fit(events)
    if slope <= 0.0:
        raise ValueError(
            f"changes of higher confidence are not right more often (slope {slope:.3g} on "
            f"{len(events)} changes): this confidence cannot be calibrated"
        )
    error = calibration_error(_held_out(events), resamples=2)
    return Calibration(
        source, slope, intercept, len(events), num_right, len(predictions),
        len({item.patient for item in predictions}), error.value, float(error.details["floor"]),
        split, data, "" if path is None else sha256_of(path),
    )  # fmt: skip


def _events(predictions: Sequence[Prediction], prefix: str) -> Iterator[Event]:
    """One event for every change with a confidence of this source."""
    for item in predictions:
        for name, value in item.confidence.items():
            if name.startswith(prefix):
                change = change_of_key(name.removeprefix(prefix))
                yield Event(value, change in item.truth.changes, item.patient)


def _held_out(events: Sequence[Event]) -> list[Event]:
    """The events with the probabilities of fits without their patients."""
    names = sorted({event.patient for event in events})
    order = derive_permutation(len(names), "calibration folds")
    fold = {names[index]: position % FOLDS for position, index in enumerate(order)}
    fits = [_fit([e for e in events if fold[e.patient] != number]) for number in range(FOLDS)]
    calibrated = []
    for event in events:
        slope, intercept = fits[fold[event.patient]]
        probability = sigmoid(intercept + slope * _log_odds(event.probability))
        calibrated.append(replace(event, probability=probability))
    return calibrated


def _fit(events: Sequence[Event]) -> tuple[float, float]:
    """Slope and intercept of the logistic regression, by Newton's method."""
    x = np.array([_log_odds(event.probability) for event in events])
    is_right = np.array([event.is_right for event in events])
    num_right = int(is_right.sum())
    low, high = 1.0 / (len(x) - num_right + 2.0), (num_right + 1.0) / (num_right + 2.0)
    target = np.where(is_right, high, low)
    design = np.stack([x, np.ones_like(x)], axis=1)  # [E, 2]
    weights: NDArray[np.float64] = np.zeros(2)
    for _ in range(STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -30.0, 30.0)))
        curvature = design.T @ (design * (p * (1.0 - p))[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, design.T @ (target - p))
        weights = weights + step
        if float(np.abs(step).max()) < TOLERANCE:
            break
    return float(weights[0]), float(weights[1])


def _log_odds(confidence: float) -> float:
    bounded = min(1.0 - LIMIT, max(LIMIT, confidence))
    return math.log(bounded / (1.0 - bounded))


def parse_calibration(values: dict[str, Any], source: str) -> Calibration:
    """A calibration from its fields, as `dataclasses.asdict` gives them.

    Args:
        source: names the file in errors.

    Raises:
        ValueError: a field is missing, unknown or of another type.
    """
    types = {field.name: field.type for field in fields(Calibration)}
    if values.keys() != types.keys():
        different = ", ".join(sorted(types.keys() ^ values.keys()))
        raise ValueError(f"{source} lacks or adds {different}: run `lapse calibrate` again")
    for name, value in values.items():
        known = {"str": str, "int": int}.get(str(types[name]), int | float)
        if isinstance(value, bool) or not isinstance(value, known):
            raise ValueError(f"{source}: {name} is {value!r}: run `lapse calibrate` again")
    return Calibration(**values)


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration file, atomically."""
    write_text(path, json.dumps({"format": FORMAT, **asdict(calibration)}, indent=1))


def read_calibration(path: Path) -> Calibration:
    """Read a calibration file.

    Raises:
        ValueError: no such file, or not one that `lapse calibrate --calibration` wrote.
    """
    if not path.is_file():
        raise ValueError(f"no calibration file {path}: make one with `lapse calibrate`")
    values = read_json_object(path)
    if values.pop("format", None) != FORMAT:
        raise ValueError(
            f"{path} is not a calibration file: give one made by `lapse calibrate --calibration`"
        )
    return parse_calibration(values, str(path))
