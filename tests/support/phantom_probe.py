"""A small probe for shortcuts: logistic regression, cross-validated and resampled by patient.

A probe that reads acquisition parameters or device presence and finds the change labels has found
a shortcut: neither is a finding. Used by test_shortcuts.py and experiments/phantom_probes.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lapse.phantom.dataset.history import Exposure, History
from lapse.phantom.patients.acquisition import Acquisition
from lapse.phantom.patients.catalogue import DEVICES
from lapse.phantom.patients.findings import difference
from lapse.phantom.patients.state import Visit

Floats = NDArray[np.float64]
FOLDS = 5
NUM_RESAMPLED = 300
PENALTY = 1e-2  # of squared weights of standardised inputs, per sample
MIN_EACH = 30  # a label needs so many pairs of either kind


@dataclass(frozen=True)
class Found:
    """Area under the ROC curve of one label, or the mean over labels; 95% interval by patient."""

    auc: float
    low: float
    high: float

    @property
    def is_chance(self) -> bool:
        return self.low <= 0.5

    def __str__(self) -> str:
        return f"{self.auc:.3f} [{self.low:.3f}, {self.high:.3f}]"


def probe(inputs: Floats, labels: Floats, patients: NDArray[np.int64]) -> list[Found]:
    """The found AUC of each label, and of their mean last.

    Args:
        inputs: [pairs, features]
        labels: [pairs, labels] of 0 and 1
        patients: [pairs]; folds and resamples keep a patient whole
    """
    names, owner = np.unique(patients, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(names))[owner] % FOLDS
    scores = np.zeros_like(labels)
    for held_out in range(FOLDS):
        train, test = fold != held_out, fold == held_out
        scores[test] = _fit(inputs[train], labels[train], inputs[test])
        # places within the fold, so that folds are comparable
        for column in range(labels.shape[1]):
            _, ranks = np.unique(scores[test, column], return_inverse=True)
            scores[test, column] = ranks / max(1, ranks.max())
    draw = np.random.default_rng(1)
    whole = np.array([_auc(scores, labels, np.ones(len(labels)))])
    resampled = []
    for _ in range(NUM_RESAMPLED):
        times = np.bincount(draw.integers(0, len(names), len(names)), minlength=len(names))
        resampled.append(_auc(scores, labels, times[owner].astype(float)))
    table = np.array(resampled)
    found = [(whole[0, i], table[:, i]) for i in range(labels.shape[1])]
    found.append((whole[0].mean(), table.mean(axis=1)))
    return [
        Found(float(value), *(float(q) for q in np.quantile(sample, (0.025, 0.975))))
        for value, sample in found
    ]


def _fit(inputs: Floats, labels: Floats, others: Floats) -> Floats:
    """Scores of `others` under one logistic regression a label."""
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0) + 1e-9
    x = torch.from_numpy((inputs - mean) / spread)
    y = torch.from_numpy(labels)
    weight = torch.zeros(x.shape[1], y.shape[1], dtype=torch.float64, requires_grad=True)
    offset = torch.zeros(y.shape[1], dtype=torch.float64, requires_grad=True)
    steps = torch.optim.LBFGS([weight, offset], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        steps.zero_grad()
        fit = torch.nn.functional.binary_cross_entropy_with_logits(x @ weight + offset, y)
        value = fit * y.shape[1] + PENALTY * (weight**2).sum()
        value.backward()
        return value

    steps.step(loss)
    scores = torch.from_numpy((others - mean) / spread) @ weight + offset
    # equal inputs in another place of the matrix must tie exactly
    return np.round(scores.detach().numpy(), 9)


def _auc(scores: Floats, labels: Floats, weights: Floats) -> Floats:
    """Weighted area under the ROC curve of each label, ties counted half. # [labels]"""
    found = []
    for column in range(labels.shape[1]):
        _, place = np.unique(scores[:, column], return_inverse=True)
        positive = np.bincount(place, weights * labels[:, column])
        negative = np.bincount(place, weights * (1 - labels[:, column]))
        below = np.cumsum(negative) - 0.5 * negative
        found.append(float(positive @ below / max(1e-9, positive.sum() * negative.sum())))
    return np.array(found)


def change_labels(pairs: list[tuple[Exposure, Exposure]], most: int) -> tuple[list[str], Floats]:
    """Names and columns of the commonest change labels; "any change" first."""
    found = [difference(reference.visit, main.visit) for reference, main in pairs]
    words = [{f"{item.finding} {item.kind}" for item in changes} for changes in found]
    counts = Counter(word for group in words for word in group)
    common = [
        word
        for word, count in counts.most_common(most)
        if MIN_EACH <= count <= len(pairs) - MIN_EACH
    ]
    columns = [[float(bool(changes)) for changes in found]]
    columns += [[float(word in group) for group in words] for word in common]
    return ["any change", *common], np.array(columns).T


def all_pairs(histories: list[History]) -> list[tuple[Exposure, Exposure]]:
    """Neighbouring visits of every patient: the pairs that share no image but one."""
    return [
        (history.exposures[index], history.exposures[index + 1])
        for history in histories
        for index in range(len(history.exposures) - 1)
    ]


def owners(pairs: list[tuple[Exposure, Exposure]]) -> NDArray[np.int64]:
    return np.array([main.visit.patient for _, main in pairs])


def acquisition_inputs(pairs: list[tuple[Exposure, Exposure]]) -> Floats:
    """Every parameter of both exposures, their difference and its size. # [pairs, features]"""
    rows = [_both(_shot(one.acquisition), _shot(two.acquisition)) for one, two in pairs]
    return np.array(rows)


def device_inputs(pairs: list[tuple[Exposure, Exposure]]) -> Floats:
    """Which devices are there on which side, came and went. # [pairs, features]"""
    return np.array([_both(_carried(one.visit), _carried(two.visit)) for one, two in pairs])


def _both(reference: Floats, main: Floats) -> Floats:
    return np.concatenate([reference, main, main - reference, np.abs(main - reference)])


def _shot(shot: Acquisition) -> Floats:
    words = [shot.marker == word for word in "LR"] + [
        shot.label == word for word in ("AP", "SUPINE", "PORTABLE")
    ]
    return np.array(
        [
            shot.view == "AP",
            shot.is_supine,
            shot.source_distance,
            shot.rotation,
            abs(shot.rotation),
            shot.tilt,
            shot.roll,
            *shot.shift,
            shot.field,
            shot.aspect,
            shot.inspiration,
            *shot.warp,
            shot.kilovolts,
            shot.dose,
            shot.scatter,
            shot.blur,
            shot.gamma,
            shot.equalisation,
            shot.contrast,
            *words,
            *shot.marker_at,
            *shot.collimation,
        ],
        dtype=float,
    )


def _carried(visit: Visit) -> Floats:
    there = {item.name: item.side for item in visit.devices}
    columns = [float(spec.name in there) for spec in DEVICES]
    return np.array([*columns, *(float(there.get(spec.name) == "left") for spec in DEVICES)])
