"""Without confounding, neither acquisition nor devices predict a change.

Positive controls with confounding and with a leaked label show that the probe detects shortcuts.
"""

from functools import cache

import numpy as np
import pytest

from lapse.phantom.dataset.cohort import assign_cohort
from lapse.phantom.dataset.history import draw_history
from lapse.phantom.dataset.options import SimulateConfig
from phantom_probe import (
    acquisition_inputs,
    change_labels,
    consecutive_pairs,
    device_inputs,
    patients_of,
    probe,
)


@cache
def pairs(confound: float, tier: str = "coarse", portable: float = 0.0):
    fractions = {"counterfactual_fraction": 0, "ood_fraction": 0}
    config = SimulateConfig(
        700, 12, 64, confound=confound, tier=tier, portable_fraction=portable, **fractions
    )
    cohort = enumerate(assign_cohort(config))
    return consecutive_pairs([draw_history(config, *item) for item in cohort])


@pytest.mark.parametrize("tier", ["coarse", "fine"])
@pytest.mark.parametrize("inputs", [acquisition_inputs, device_inputs])
def test_without_confounding_no_change_is_predicted(inputs, tier):
    names, labels = change_labels(pairs(0.0, tier), 6)
    *aucs, mean = probe(inputs(pairs(0.0, tier)), labels, patients_of(pairs(0.0, tier)))
    assert mean.is_chance, dict(zip(names, map(str, aucs), strict=True))


def test_portable_films_predict_no_change():
    films = pairs(0.0, "coarse", 0.5)
    assert 0.45 < np.mean([main.acquisition.portable is not None for _, main in films]) < 0.55
    _, labels = change_labels(films, 6)
    *_, mean = probe(acquisition_inputs(films), labels, patients_of(films))
    assert mean.is_chance
    ill = pairs(1.0, "coarse", 0.5)
    _, labels = change_labels(ill, 6)
    *_, mean = probe(acquisition_inputs(ill), labels, patients_of(ill))
    assert not mean.is_chance


@pytest.mark.parametrize("inputs", [acquisition_inputs, device_inputs])
def test_with_confounding_changes_are_predicted(inputs):
    _, labels = change_labels(pairs(1.0), 6)
    *_, mean = probe(inputs(pairs(1.0)), labels, patients_of(pairs(1.0)))
    assert not mean.is_chance and mean.value > 0.55


def test_a_leaked_label_is_detected():
    _, labels = change_labels(pairs(0.0), 0)
    noisy_labels = labels + np.random.default_rng(3).normal(0, 2.0, labels.shape)
    inputs = np.hstack([acquisition_inputs(pairs(0.0)), noisy_labels])
    auc, _ = probe(inputs, labels, patients_of(pairs(0.0)))
    assert auc.low > 0.52
