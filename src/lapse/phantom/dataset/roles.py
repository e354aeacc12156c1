"""What each patient is there for: its part, its tier, a counterfactual quad, a held-out tail.

Quads and tails are shares of the patients of the test part, so training never holds one. A
patient has one role at most; the shares are rounded down, so a tree with few test patients has
none. Which patients they are is counted, and does not change what an ordinary patient is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lapse.core.seeding import derive_index, derive_permutation
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.patients.identity import partition

TAILS = ("anatomy", "acquisition", "combination", "paraphrase")


@dataclass(frozen=True, slots=True)
class Role:
    """The role of one patient in a simulated tree."""

    part: str  # "train", "validate" or "test"
    tier: str  # "coarse" or "fine"
    is_quad: bool = False
    tail: str = ""  # one of TAILS, "" for an ordinary patient


def draw_roles(config: SimulateConfig) -> tuple[Role, ...]:
    """The role of every patient, in their order.

    Raises:
        ValueError: there are too few or too many patients (identity.partition).
    """
    parts = partition(config.seed, config.patients)
    roles = [Role(part, _tier(config, patient)) for patient, part in enumerate(parts)]
    tested = [patient for patient, part in enumerate(parts) if part == "test"]
    order = derive_permutation(len(tested), config.seed, "phantom/roles")
    num_quads = int(config.quads * len(tested))
    num_each = int(config.tails / len(TAILS) * len(tested))
    for rank, index in enumerate(order):
        patient = tested[index]
        if rank < num_quads:
            roles[patient] = replace(roles[patient], is_quad=True)
        elif rank < num_quads + num_each * len(TAILS):
            tail = TAILS[(rank - num_quads) % len(TAILS)]
            roles[patient] = replace(roles[patient], tail=tail)
    return tuple(roles)


def written_patients(config: SimulateConfig) -> tuple[tuple[int, Role], ...]:
    """(patient, role) of everyone whose files are written: all, or one part of them.

    The roles are drawn over all patients, so that a part written alone is that of the whole tree.

    Raises:
        ValueError: there are too few or too many patients, or the part has none.
    """
    drawn = tuple(enumerate(draw_roles(config)))
    found = tuple(item for item in drawn if not config.only or item[1].part == config.only)
    if not found:
        raise ValueError(
            f"none of {config.patients} patients is in the part {config.only!r}: draw more; about "
            "15 of 100 are test patients"
        )
    return found


def _tier(config: SimulateConfig, patient: int) -> str:
    if config.tier != "mixed":
        return config.tier
    is_fine = derive_index(2, config.seed, "phantom/tier", patient) == 1
    return "fine" if is_fine else "coarse"
