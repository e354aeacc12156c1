"""Nothing but the findings tells what changed: acquisition and devices do not, at confound 0.

The positive controls show that the probe would see it: at confound 1, and a label that leaked.
"""

import numpy as np
import pytest

from lapse.phantom.dataset.cohort import assign_cohort
from lapse.phantom.dataset.history import draw_history
from lapse.phantom.dataset.options import SimulateConfig
from phantom_probe import (
    acquisition_inputs,
    all_pairs,
    change_labels,
    device_inputs,
    owners,
    probe,
)


def pairs(confound: float, tier: str = "coarse"):
    config = SimulateConfig(
        patients=700,
        seed=12,
        size=64,
        confound=confound,
        tier=tier,
        counterfactual_fraction=0,
        ood_fraction=0,
    )
    roles = enumerate(assign_cohort(config))
    return all_pairs([draw_history(config, *item) for item in roles])


@pytest.mark.parametrize("tier", ["coarse", "fine"])
@pytest.mark.parametrize("inputs", [acquisition_inputs, device_inputs])
def test_the_probe_finds_no_change_at_confound_0(inputs, tier):
    found = pairs(0.0, tier)
    names, labels = change_labels(found, 6)
    *each, mean = probe(inputs(found), labels, owners(found))
    print(f"{inputs.__name__} {tier}: mean AUC {mean} over {len(names)} labels")
    assert mean.is_chance, dict(zip(names, map(str, each), strict=True))


@pytest.mark.parametrize("inputs", [acquisition_inputs, device_inputs])
def test_the_probe_finds_changes_at_confound_1(inputs):
    found = pairs(1.0)
    _, labels = change_labels(found, 6)
    *_, mean = probe(inputs(found), labels, owners(found))
    print(f"sabotage, confound 1, {inputs.__name__}: mean AUC {mean}")
    assert not mean.is_chance and mean.auc > 0.55


def test_the_probe_finds_a_label_that_leaked():
    found = pairs(0.0)
    _, labels = change_labels(found, 0)
    leaked = labels + np.random.default_rng(3).normal(0, 2.0, labels.shape)
    inputs = np.hstack([acquisition_inputs(found), leaked])
    (auc, _) = probe(inputs, labels, owners(found))
    print(f"sabotage, a noisy copy of the label among the inputs: AUC {auc}")
    assert auc.low > 0.52
