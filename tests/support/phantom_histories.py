"""Histories of simulated patients without images, cached for all tests of a session."""

from functools import cache

from lapse.phantom.dataset.cohort import assign_cohort
from lapse.phantom.dataset.history import History, draw_history
from lapse.phantom.dataset.options import SimulateConfig

# Both tiers, with many counterfactual quadruplets and patients of every OOD group.
MIXED = SimulateConfig(
    patients=900, seed=6, size=64, tier="mixed", counterfactual_fraction=0.5, ood_fraction=0.4
)


@cache
def histories(config: SimulateConfig = MIXED) -> tuple[History, ...]:
    """The history of every patient of a simulation, in order."""
    return tuple(draw_history(config, *item) for item in enumerate(assign_cohort(config)))
