"""Probe for shortcuts: logistic regression, cross-validated and bootstrapped by patient.

A probe that predicts changes from acquisition parameters or devices has detected a shortcut. Used
by test_phantom_shortcuts.py and experiments/phantom_probes.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray

from lapse.phantom.dataset.history import Exposure, History
from lapse.phantom.patients.acquisition import Acquisition, Portable
from lapse.phantom.patients.catalogue import DEVICES
from lapse.phantom.patients.findings import difference
from lapse.phantom.patients.state import Visit

Floats = NDArray[np.float64]
Pairs = list[tuple[Exposure, Exposure]]
FOLDS = 5
NUM_BOOTSTRAP = 300
PENALTY = 1e-2  # L2, per sample, for standardised inputs
MIN_COUNT = 30  # positive and negative pairs that a label needs


@dataclass(frozen=True)
class Auc:
    """Area under the ROC curve of one label, or the mean over labels; 95% interval by patient."""

    value: float
    low: float
    high: float

    @property
    def is_chance(self) -> bool:
        return self.low <= 0.5

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def probe(inputs: Floats, labels: Floats, patients: NDArray[np.int64]) -> list[Auc]:
    """The AUC of each label, and their mean as the last element.

    Args:
        inputs: [pairs, features]
        labels: [pairs, labels] of 0 and 1
        patients: [pairs]; folds and bootstrap samples do not divide a patient
    """
    names, patient_index = np.unique(patients, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(names))[patient_index] % FOLDS
    scores = np.zeros_like(labels)
    for held_out in range(FOLDS):
        train, test = fold != held_out, fold == held_out
        scores[test] = _fit(inputs[train], labels[train], inputs[test])
        # ranks within the fold, so that folds are comparable
        for column in range(labels.shape[1]):
            _, ranks = np.unique(scores[test, column], return_inverse=True)
            scores[test, column] = ranks / max(1, ranks.max())
    rng = np.random.default_rng(1)
    values = _auc(scores, labels, np.ones(len(labels)))
    bootstrap = []
    for _ in range(NUM_BOOTSTRAP):
        counts = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        bootstrap.append(_auc(scores, labels, counts[patient_index].astype(float)))
    table = np.array(bootstrap)
    columns = [(values[i], table[:, i]) for i in range(labels.shape[1])]
    columns.append((values.mean(), table.mean(axis=1)))
    return [
        Auc(float(value), *(float(q) for q in np.quantile(sample, (0.025, 0.975))))
        for value, sample in columns
    ]


def _fit(inputs: Floats, labels: Floats, others: Floats) -> Floats:
    """Scores of `others` by one logistic regression per label."""
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0) + 1e-9
    x = torch.from_numpy((inputs - mean) / spread)
    y = torch.from_numpy(labels)
    weight = torch.zeros(x.shape[1], y.shape[1], dtype=torch.float64, requires_grad=True)
    offset = torch.zeros(y.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, offset], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(x @ weight + offset, y)
        value = entropy * y.shape[1] + PENALTY * (weight**2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    scores = torch.from_numpy((others - mean) / spread) @ weight + offset
    # equal inputs in different rows must have exactly equal scores
    return np.round(scores.detach().numpy(), 9)


def _auc(scores: Floats, labels: Floats, weights: Floats) -> Floats:
    """Weighted area under the ROC curve of each label, ties counted half. # [labels]"""
    values = []
    for column in range(labels.shape[1]):
        _, rank = np.unique(scores[:, column], return_inverse=True)
        positive = np.bincount(rank, weights * labels[:, column])
        negative = np.bincount(rank, weights * (1 - labels[:, column]))
        below = np.cumsum(negative) - 0.5 * negative
        values.append(float(positive @ below / max(1e-9, positive.sum() * negative.sum())))
    return np.array(values)


def change_labels(pairs: Pairs, max_labels: int) -> tuple[list[str], Floats]:
    """Names and columns of the most frequent change labels; "any change" is the first."""
    differences = [difference(reference.visit, main.visit) for reference, main in pairs]
    words = [{f"{item.finding} {item.kind}" for item in changes} for changes in differences]
    counts = Counter(word for group in words for word in group)
    common = [
        word
        for word, count in counts.most_common(max_labels)
        if MIN_COUNT <= count <= len(pairs) - MIN_COUNT
    ]
    columns = [[float(bool(changes)) for changes in differences]]
    columns += [[float(word in group) for group in words] for word in common]
    return ["any change", *common], np.array(columns).T


def consecutive_pairs(histories: list[History]) -> Pairs:
    """The pairs of consecutive visits of every patient."""
    return [
        (history.exposures[index], history.exposures[index + 1])
        for history in histories
        for index in range(len(history.exposures) - 1)
    ]


def patients_of(pairs: Pairs) -> NDArray[np.int64]:
    """The patient of every pair."""
    return np.array([main.visit.patient for _, main in pairs])


def acquisition_inputs(pairs: Pairs) -> Floats:
    """All acquisition parameters of both exposures and their differences. # [pairs, features]"""
    return np.array(
        [_combined(_parameters(a.acquisition), _parameters(b.acquisition)) for a, b in pairs]
    )


def device_inputs(pairs: Pairs) -> Floats:
    """Presence and side of all devices at both visits and their changes. # [pairs, features]"""
    return np.array([_combined(_devices(a.visit), _devices(b.visit)) for a, b in pairs])


def _combined(reference: Floats, main: Floats) -> Floats:
    return np.concatenate([reference, main, main - reference, np.abs(main - reference)])


def _parameters(acquisition: Acquisition) -> Floats:
    words = [acquisition.marker == word for word in "LR"]
    words += [acquisition.label == word for word in ("AP", "SUPINE", "PORTABLE")]
    return np.array(
        [
            acquisition.view == "AP",
            acquisition.is_supine,
            acquisition.source_distance,
            acquisition.rotation,
            abs(acquisition.rotation),
            acquisition.tilt,
            acquisition.roll,
            *acquisition.shift,
            acquisition.field,
            acquisition.aspect,
            acquisition.inspiration,
            *acquisition.warp,
            acquisition.kilovolts,
            acquisition.dose,
            acquisition.scatter,
            acquisition.blur,
            acquisition.gamma,
            acquisition.equalisation,
            acquisition.contrast,
            *words,
            *acquisition.marker_at,
            *acquisition.collimation,
            *_portable_parameters(acquisition.portable),
        ],
        dtype=float,
    )


def _portable_parameters(portable: Portable | None) -> list[float]:
    """All numbers of a portable film; zeros for another film."""
    values = [0.0 for item in fields(Portable)]
    if portable is not None:
        values = [float(np.sum(getattr(portable, item.name))) for item in fields(Portable)]
        values[-1] = 1.0  # the seed of the clutter is not a parameter
    return values


def _devices(visit: Visit) -> Floats:
    side_of = {item.name: item.side for item in visit.devices}
    is_present = [float(spec.name in side_of) for spec in DEVICES]
    return np.array([*is_present, *(float(side_of.get(spec.name) == "left") for spec in DEVICES)])
