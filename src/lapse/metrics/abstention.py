"""When to say "undecided": a threshold chosen on validation patients that keeps a promise.

A change is stated when its probability is above the threshold, otherwise it is undecided. The
loss of an answer is 1 when it still states a change that is not true; a patient's loss is the
mean over the patient's answers, and the false-change rate the mean over patients. A higher
threshold never raises it, so conformal risk control applies (Angelopoulos et al. 2024,
arXiv:2208.02814, equation 4): with n patients, the smallest threshold whose

    n / (n + 1) * rate + 1 / (n + 1) <= alpha

has an expected rate of at most alpha on a new patient, whatever the probabilities are worth,
provided that the new patient comes from where the validation patients come from. Patients are
the units because answers about one patient fail together.

Leaving a change out is not saying that nothing has changed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapse.core.files import write_text
from lapse.core.grammar import parse
from lapse.core.seeding import derive_permutation
from lapse.core.types import Prediction, Score
from lapse.metrics.bootstrap import RESAMPLES, bootstrap_interval
from lapse.metrics.confidence import METHODS, stated

FORMAT = "lapse-threshold"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A chosen threshold and what it was chosen on.

    Attributes:
        method: "beam" or "clauses", which probability of a change is meant.
        alpha: the false-change rate that is promised on average.
        threshold: a change is stated when its probability is above this.
        patients, answers: how many it was chosen on.
        rate: the false-change rate on them at this threshold.
    """

    method: str
    alpha: float
    threshold: float
    patients: int
    answers: int
    rate: float

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"threshold by {self.method!r}: one of {', '.join(METHODS)}")
        for name in ("alpha", "threshold", "rate"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} {value} lies outside [0, 1]")


def choose_threshold(predictions: Sequence[Prediction], alpha: float, method: str) -> Threshold:
    """The smallest threshold that keeps the false-change rate at alpha, by conformal control.

    Args:
        predictions: difference answers on validation patients, never those it is reported on.
        alpha: in (0, 1).
        method: "beam" or "clauses".

    Raises:
        ValueError: alpha out of range, an unknown patient, a change without its probability, or
            too few patients for this alpha (1 / alpha - 1 are needed).
    """
    losses = _read_losses(predictions, method)
    chosen = losses.smallest(alpha)
    return Threshold(
        method, alpha, chosen, losses.num_patients, len(predictions), losses.rate(chosen)
    )


class _Losses:
    """The surest false change of each answer, all that the rate at any threshold needs.

    Args:
        worst: [n] its probability, -1 where an answer states nothing false.
        patient: [n] the number of each answer's patient.
    """

    def __init__(self, worst: NDArray[np.float64], patient: NDArray[np.int64]) -> None:
        self.worst = worst
        _, self.patient = np.unique(patient, return_inverse=True)
        self.num_patients = int(self.patient.max()) + 1
        self.weight = 1.0 / np.bincount(self.patient)[self.patient]  # an answer's share

    def of(self, patients: NDArray[np.int64]) -> _Losses:
        """The same for some patients only."""
        held = np.isin(self.patient, patients)
        return _Losses(self.worst[held], self.patient[held])

    def by_patient(self, threshold: float) -> NDArray[np.float64]:
        """Each patient's loss at a threshold."""
        losses = self.weight * (self.worst > threshold)
        return np.bincount(self.patient, losses, self.num_patients).astype(np.float64)

    def rate(self, threshold: float) -> float:
        """The mean loss over patients."""
        return float(self.by_patient(threshold).mean())

    def smallest(self, alpha: float) -> float:
        """The smallest threshold that conformal risk control accepts."""
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha is {alpha}: choose a rate between 0 and 1, such as 0.1")
        n = self.num_patients
        if 1.0 / (n + 1) > alpha:
            raise ValueError(
                f"{n} patients cannot promise a false-change rate of {alpha}: at least "
                f"{int(np.ceil(1.0 / alpha - 1.0))} are needed"
            )
        order = np.argsort(-self.worst, kind="stable")
        candidates = np.unique(np.concatenate([[0.0], np.clip(self.worst, 0.0, 1.0)]))
        above = np.concatenate([[0.0], np.cumsum(self.weight[order])]) / n
        rates = above[np.searchsorted(-self.worst[order], -candidates, side="left")]
        # One hair of rounding: 1 / (n + 1) is often alpha itself.
        is_kept = n / (n + 1) * rates + 1 / (n + 1) <= alpha + 1e-12
        return float(candidates[is_kept][0])  # the last candidate states nothing false


def _read_losses(predictions: Sequence[Prediction], method: str) -> _Losses:
    if not predictions:
        raise ValueError("a false-change rate needs at least one prediction, got none")
    unknown = sum(not item.patient for item in predictions)
    if unknown:
        raise ValueError(f"{unknown} of {len(predictions)} predictions name no patient")
    names = {name: place for place, name in enumerate(sorted({p.patient for p in predictions}))}
    worst = [
        max((one.probability for one in stated(item, method) if not one.is_right), default=-1.0)
        for item in predictions
    ]
    return _Losses(np.array(worst), np.array([names[item.patient] for item in predictions]))


def abstention_scores(
    predictions: Sequence[Prediction], chosen: Threshold, *, seed: int = 0
) -> dict[str, Score]:
    """What a threshold does to the answers of other patients.

    Returns:
        "false-change rate" with its interval by patient, the same "without abstention", and how
        much is still said: "changes kept", "true changes kept" (of all stated true ones),
        "precision, kept", "recall, kept", "answers kept whole".

    Raises:
        ValueError: no prediction, or a change without its probability.
    """
    losses = _read_losses(predictions, chosen.method)
    rows = [stated(item, chosen.method) for item in predictions]
    said = [one for row in rows for one in row]
    kept = [one for one in said if one.probability > chosen.threshold]
    whole = [all(one.probability > chosen.threshold for one in row) for row in rows]
    true = sum(one.is_right for one in said)
    true_kept = sum(one.is_right for one in kept)
    wanted = sum(_num_true(item) for item in predictions)
    facts = {
        "by": chosen.method,
        "alpha": f"{chosen.alpha:g}",
        "threshold": f"{chosen.threshold:.6g}",
        "chosen on": f"{chosen.patients} patients",
        "patients": str(losses.num_patients),
    }

    def share(name: str, part: int, of: int) -> Score:
        return Score(name, part / of if of else 0.0, details={"part": str(part), "of": str(of)})

    return {
        "false-change rate": _rate(
            "false-change rate", losses.by_patient(chosen.threshold), facts, seed
        ),
        "false-change rate without abstention": _rate(
            "false-change rate without abstention", losses.by_patient(-0.5), facts, seed
        ),
        "changes kept": share("changes kept", len(kept), len(said)),
        "true changes kept": share("true changes kept", true_kept, true),
        "precision, kept": share("precision, kept", true_kept, len(kept)),
        "recall, kept": share("recall, kept", true_kept, wanted),
        "answers kept whole": share("answers kept whole", sum(whole), len(whole)),
    }


def _num_true(item: Prediction) -> int:
    return len(parse(item.references[0]).changes)


def _rate(name: str, by_patient: NDArray[np.float64], facts: dict[str, str], seed: int) -> Score:
    count = len(by_patient)
    if count < 2:
        return Score(name, float(by_patient.mean()), details=facts)
    people = [str(number) for number in range(count)]
    low, high = bootstrap_interval(by_patient.tolist(), people, seed=seed)
    details = {**facts, "interval": f"95%, {RESAMPLES} resamples of {count} patients"}
    return Score(name, float(by_patient.mean()), low, high, details=details)


def resplit_rates(
    predictions: Sequence[Prediction],
    alpha: float,
    method: str,
    *,
    splits: int = 200,
    seed: int = 0,
) -> list[float]:
    """The promise put to the test: choose on half of the patients, measure on the other half.

    Returns:
        one false-change rate per split; their mean should not exceed alpha.

    Raises:
        ValueError: as `choose_threshold`, for half of the patients.
    """
    losses = _read_losses(predictions, method)
    rates = []
    for split in range(splits):
        order = np.array(derive_permutation(losses.num_patients, seed, "resplit", split))
        half = len(order) // 2
        threshold = losses.of(order[:half]).smallest(alpha)
        rates.append(losses.of(order[half:]).rate(threshold))
    return rates


def write_threshold(path: Path, chosen: Threshold) -> None:
    """Write a threshold file; it appears whole or not at all."""
    write_text(path, json.dumps({"format": FORMAT, **asdict(chosen)}, indent=1) + "\n")


def read_threshold(path: Path) -> Threshold:
    """Read a threshold file.

    Raises:
        ValueError: no such file, or not one that `lapse calibrate` wrote.
    """
    if not path.is_file():
        raise ValueError(f"no threshold file {path}: make one with `lapse calibrate`")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON in UTF-8: {error}") from None
    wanted = {field.name for field in fields(Threshold)}
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise ValueError(f"{path} is no threshold file: give one made by `lapse calibrate`")
    if values.keys() != wanted:
        odd = ", ".join(sorted(wanted ^ values.keys()))
        raise ValueError(f"{path} lacks or adds {odd}: run `lapse calibrate` again")
    return Threshold(**values)
