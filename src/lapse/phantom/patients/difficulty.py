"""The parameters that control how hard a simulation is.

    nuisance    strength of everything but the findings: posture, inspiration, exposure, mimics
    subtlety    0 normal; 1 every finding as faint as its level allows, low levels more frequent
    confound    0 acquisition and devices are independent of the findings; 1 as in hospitals
    prevalence  factor of the onset rates of findings and devices
    tier        "coarse" or "fine" (lapse.phantom.patients.mimics)

`subtlety` moves severities towards the lower limit of their level, next to the dead band. It does
not change the meaning of a level: labels remain correct and only the contrast decreases.
"""

from __future__ import annotations

from dataclasses import dataclass

from lapse.core.types import nearest
from lapse.phantom.patients.mimics import TIERS

MAX_NUISANCE = 1.5
LEVEL_DECAY = 0.6  # at subtlety 1 the weight of each level falls by this fraction per step


@dataclass(frozen=True, slots=True)
class Difficulty:
    """The difficulty of a simulation.

    Raises:
        ValueError: a parameter is out of range.
    """

    nuisance: float = 1.0
    subtlety: float = 0.0
    confound: float = 0.0
    prevalence: float = 1.0
    tier: str = "coarse"

    def __post_init__(self) -> None:
        limits = {"nuisance": MAX_NUISANCE, "subtlety": 1.0, "confound": 1.0}
        for name, high in limits.items():
            value = getattr(self, name)
            if not 0.0 <= value <= high:
                raise ValueError(f"{name} {value}: choose between 0 and {high:g}")
        if not self.prevalence >= 0.0:
            raise ValueError(f"prevalence {self.prevalence} is negative: 0 is the least")
        if self.tier not in TIERS:
            raise ValueError(f"no tier {self.tier!r}; {nearest(self.tier, TIERS)}")
