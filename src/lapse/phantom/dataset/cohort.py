"""The cohort role of each patient: split, tier, counterfactual quadruplet, OOD group.

Quadruplets and OOD groups are fractions of the test patients, so training contains none of them. A
patient has at most one of these roles. Fractions are rounded down, so a small simulation may have
none. The role of a patient does not change the other patients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lapse.core.seeding import derive_index, derive_permutation
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.patients.identity import assign_splits
from lapse.phantom.patients.ood_splits import OOD_KINDS


@dataclass(frozen=True, slots=True)
class CohortRole:
    """The role of one patient in a simulation."""

    split: str  # "train", "validate" or "test"
    tier: str  # "coarse" or "fine"
    is_counterfactual: bool = False
    ood: str = ""  # one of OOD_KINDS, "" for an in-distribution patient


def assign_cohort(config: SimulateConfig) -> tuple[CohortRole, ...]:
    """The role of every patient, in order.

    Raises:
        ValueError: there are too few or too many patients (identity.assign_splits).
    """
    splits = assign_splits(config.seed, config.patients)
    roles = [CohortRole(split, _tier(config, patient)) for patient, split in enumerate(splits)]
    test_patients = [patient for patient, split in enumerate(splits) if split == "test"]
    order = derive_permutation(len(test_patients), config.seed, "phantom/roles")
    num_quadruplets = int(config.counterfactual_fraction * len(test_patients))
    num_per_kind = int(config.ood_fraction / len(OOD_KINDS) * len(test_patients))
    for rank, index in enumerate(order):
        patient = test_patients[index]
        if rank < num_quadruplets:
            roles[patient] = replace(roles[patient], is_counterfactual=True)
        elif rank < num_quadruplets + num_per_kind * len(OOD_KINDS):
            kind = OOD_KINDS[(rank - num_quadruplets) % len(OOD_KINDS)]
            roles[patient] = replace(roles[patient], ood=kind)
    return tuple(roles)


def selected_patients(config: SimulateConfig) -> tuple[tuple[int, CohortRole], ...]:
    """(patient, role) of the patients that are written: all, or those of one split.

    Roles are assigned over all patients, so one split alone equals that split of the complete
    simulation.

    Raises:
        ValueError: there are too few or too many patients, or the split is empty.
    """
    cohort = enumerate(assign_cohort(config))
    selected = tuple(item for item in cohort if not config.split or item[1].split == config.split)
    if not selected:
        raise ValueError(
            f"none of {config.patients} patients is in the split {config.split!r}: simulate more; "
            "about 15 of 100 are test patients"
        )
    return selected


def _tier(config: SimulateConfig, patient: int) -> str:
    if config.tier != "mixed":
        return config.tier
    is_fine = derive_index(2, config.seed, "phantom/tier", patient) == 1
    return "fine" if is_fine else "coarse"
