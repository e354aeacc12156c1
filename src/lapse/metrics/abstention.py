"""Abstention: a confidence threshold, chosen on validation patients, with a guaranteed error rate.

A change is stated when its probability is above the threshold, otherwise it is undecided. The
loss of an answer is 1 when it still states a false change; the loss of a patient is the mean over
the patient's answers, and the false-change rate is the mean over patients. A higher threshold
never raises it, so conformal risk control applies (Angelopoulos et al. 2024, arXiv:2208.02814,
equation 4): with n patients, the smallest threshold with

    n / (n + 1) * rate + 1 / (n + 1) <= alpha

has an expected rate of at most alpha on a new patient, even if the probabilities are not
calibrated, provided that the new patient comes from the population of the validation patients.
Patients are the units because the errors of one patient's answers are correlated.

Omitting a change is not a statement that nothing has changed.

The guarantee is void for the patients that the threshold was chosen on. A threshold therefore
holds a hash of each of them, and answers about one of them are refused. The hashes hide ids from
a reader of the file, but not from somebody who hashes every possible id.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapse.core.files import write_text
from lapse.core.seeding import derive_permutation
from lapse.core.types import Prediction, Score, Statistics
from lapse.metrics.bootstrap import with_intervals
from lapse.metrics.confidence import METHODS, StatedChange, stated_changes
from lapse.metrics.statistics import FRACTION, ratio

FORMAT = "lapse-threshold"
_NUMBER = re.compile(r"p?0*(\d+)(?:\.0)?")
HASH_LENGTH = 16  # hexadecimal digits


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold and the data that it was chosen on.

    Attributes:
        method: "beam" or "clauses": which probability of a change is compared.
        alpha: the guaranteed bound of the expected false-change rate.
        threshold: a change is stated when its probability is above this.
        patients, answers: numbers of validation patients and answers.
        rate: the false-change rate on them at this threshold.
        patient_hashes: of the validation patients, salted with `salt`; () where unknown.
        salt: a text that differs between sets of patients.
    """

    method: str
    alpha: float
    threshold: float
    patients: int
    answers: int
    rate: float
    patient_hashes: tuple[str, ...] = ()
    salt: str = ""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"threshold by {self.method!r}: one of {', '.join(METHODS)}")
        for name in ("alpha", "threshold", "rate"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} {value!r} is not a number in [0, 1]")


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
    threshold = losses.smallest(alpha)
    patients = {item.patient for item in predictions}
    salt = _hash("\n".join(sorted(patients)), "salt")
    return Threshold(
        method,
        alpha,
        threshold,
        losses.num_patients,
        len(predictions),
        losses.rate(threshold),
        patient_hashes=tuple(sorted(_hash(patient, salt) for patient in patients)),
        salt=salt,
    )


def check_other_patients(threshold: Threshold, patients: Collection[str]) -> None:
    """Refuse patients that the threshold was chosen on, and answers without a patient.

    Raises:
        ValueError: how many patients are among them, or that a patient is not named.
    """
    if "" in patients:
        raise ValueError(
            "some answers do not name their patient, so it is unknown whether the threshold was "
            "chosen on them: add the key patient to the predictions"
        )
    hashes = set(threshold.patient_hashes)
    distinct = set(patients)
    num_shared = sum(_hash(patient, threshold.salt) in hashes for patient in distinct)
    if num_shared:
        raise ValueError(
            f"{num_shared} of the {len(distinct)} patients of these answers are among the "
            f"{threshold.patients} that the threshold was chosen on, so its guarantee does not "
            "hold for them: choose the threshold on other patients with lapse calibrate"
        )


def _hash(text: str, salt: str) -> str:
    """The salted hash of an id; "p0017" and "17" are one patient."""
    number = _NUMBER.fullmatch(text.strip())
    plain = number[1] if number else text.strip()
    return hashlib.sha256(f"{salt}:{plain}".encode()).hexdigest()[:HASH_LENGTH]


class _Losses:
    """The losses of all answers at any threshold.

    Args:
        worst: [n] highest probability of a false change of each answer, -1 without one.
        patient: [n] number of each answer's patient.
    """

    def __init__(self, worst: NDArray[np.float64], patient: NDArray[np.int64]) -> None:
        self.worst = worst
        _, self.patient = np.unique(patient, return_inverse=True)
        self.num_patients = int(self.patient.max()) + 1
        self.weight = 1.0 / np.bincount(self.patient)[self.patient]  # of an answer in its patient

    def of(self, patients: NDArray[np.int64]) -> _Losses:
        mask = np.isin(self.patient, patients)
        return _Losses(self.worst[mask], self.patient[mask])

    def by_patient(self, threshold: float) -> NDArray[np.float64]:
        """Each patient's loss at a threshold."""
        losses = self.weight * (self.worst > threshold)
        return np.bincount(self.patient, losses, self.num_patients).astype(np.float64)

    def rate(self, threshold: float) -> float:
        return float(self.by_patient(threshold).mean())

    def smallest(self, alpha: float) -> float:
        """The smallest threshold that conformal risk control accepts."""
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha is {alpha}: choose a rate between 0 and 1, such as 0.1")
        n = self.num_patients
        if 1.0 / (n + 1) > alpha:
            raise ValueError(
                f"{n} patients cannot guarantee a false-change rate of {alpha}: at least "
                f"{int(np.ceil(1.0 / alpha - 1.0))} are needed"
            )
        order = np.argsort(-self.worst, kind="stable")
        candidates = np.unique(np.concatenate([[0.0], np.clip(self.worst, 0.0, 1.0)]))
        above = np.concatenate([[0.0], np.cumsum(self.weight[order])]) / n
        rates = above[np.searchsorted(-self.worst[order], -candidates, side="left")]
        # The slack is for rounding: 1 / (n + 1) is often alpha itself.
        is_accepted = n / (n + 1) * rates + 1 / (n + 1) <= alpha + 1e-12
        return float(candidates[is_accepted][0])  # the last candidate has no false change


def _read_losses(predictions: Sequence[Prediction], method: str) -> _Losses:
    if not predictions:
        raise ValueError("a false-change rate needs at least one prediction, got none")
    unknown = sum(not item.patient for item in predictions)
    if unknown:
        raise ValueError(f"{unknown} of {len(predictions)} predictions name no patient")
    index = {name: number for number, name in enumerate(sorted({p.patient for p in predictions}))}
    worst = [
        max((c.probability for c in stated_changes(item, method) if not c.is_right), default=-1.0)
        for item in predictions
    ]
    return _Losses(np.array(worst), np.array([index[item.patient] for item in predictions]))


def abstention_scores(
    predictions: Sequence[Prediction], threshold: Threshold, *, seed: int = 0
) -> dict[str, Score]:
    """The scores of answers from which undecided changes are removed.

    Returns:
        "false-change rate" with its interval by patient, the same "without abstention", and how
        much is still stated: "changes kept", "true changes kept" (of all stated true changes),
        "precision, kept", "recall, kept", "complete answers kept".

    Raises:
        ValueError: no prediction, a change without its probability, or a patient that the
            threshold was chosen on.
    """
    check_other_patients(threshold, [item.patient for item in predictions])
    losses = _read_losses(predictions, threshold.method)
    by_answer = [stated_changes(item, threshold.method) for item in predictions]
    details = {
        "by": threshold.method,
        "alpha": f"{threshold.alpha:g}",
        "threshold": f"{threshold.threshold:.6g}",
        "chosen on": f"{threshold.patients} patients",
        "patients": str(losses.num_patients),
    }
    rates = {
        "false-change rate": losses.by_patient(threshold.threshold),
        "false-change rate without abstention": losses.by_patient(-0.5),
    }
    scores = {name: _rate(name, by_patient, details, seed) for name, by_patient in rates.items()}
    return scores | with_intervals(
        _kept_fractions(predictions, by_answer, threshold.threshold),
        [item.patient for item in predictions],
        seed=seed,
    )


def _kept_fractions(
    predictions: Sequence[Prediction], by_answer: Sequence[Sequence[StatedChange]], limit: float
) -> dict[str, Score]:
    """How much is still stated above a threshold: fractions of changes and of answers."""
    rows = []
    for item, stated in zip(predictions, by_answer, strict=True):
        kept = [change for change in stated if change.probability > limit]
        num_kept_true, num_true = (sum(c.is_right for c in part) for part in (kept, stated))
        num_expected = len(item.truth.changes)
        counts = (len(kept), len(stated), num_kept_true, num_true, num_expected)
        rows.append((*counts, len(kept) == len(stated), 1))
    table = np.array(rows, dtype=np.float64)  # [n, 7]
    sums = table.sum(axis=0)
    columns = {
        "changes kept": (0, 1),
        "true changes kept": (2, 3),
        "precision, kept": (2, 0),
        "recall, kept": (2, 4),
        "complete answers kept": (5, 6),
    }
    return {
        name: Score(
            name,
            float(ratio(sums[[part, of]])),
            details={"part": f"{sums[part]:.0f}", "of": f"{sums[of]:.0f}"},
            statistics=Statistics(table[:, [part, of]], ratio),
            value_range=FRACTION,
        )
        for name, (part, of) in columns.items()
    }


def _rate(name: str, by_patient: NDArray[np.float64], details: dict[str, str], seed: int) -> Score:
    score = Score(
        name,
        float(by_patient.mean()),
        details=details,
        statistics=Statistics(np.stack([by_patient, np.ones_like(by_patient)], axis=1), ratio),
        higher_is_better=False,
        value_range=FRACTION,
    )
    patients = [str(number) for number in range(len(by_patient))]
    return with_intervals({name: score}, patients, seed=seed)[name]


def resplit_rates(
    predictions: Sequence[Prediction],
    alpha: float,
    method: str,
    *,
    splits: int = 200,
    seed: int = 0,
) -> list[float]:
    """Test of the guarantee: choose on a random half of the patients, measure on the other half.

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


def write_threshold(path: Path, threshold: Threshold) -> None:
    """Write a threshold file, atomically."""
    write_text(path, json.dumps({"format": FORMAT, **asdict(threshold)}, indent=1) + "\n")


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
    names = {field.name for field in fields(Threshold)}
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise ValueError(f"{path} is not a threshold file: give one made by `lapse calibrate`")
    if values.keys() != names:
        different = ", ".join(sorted(names ^ values.keys()))
        raise ValueError(f"{path} lacks or adds {different}: run `lapse calibrate` again")
    hashes = values["patient_hashes"]
    if not isinstance(hashes, list) or not hashes:
        raise ValueError(f"{path} names no validation patient: run `lapse calibrate` again")
    return Threshold(**{**values, "patient_hashes": tuple(hashes)})
