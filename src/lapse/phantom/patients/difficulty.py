"""The difficulty of a simulation that decide how hard it is, and what they mean.

    nuisance    strength of everything that is not a finding: posture, breath, exposure, mimics
    subtlety    0 as usual; 1 every finding as faint as its level allows, low levels far commoner
    confound    0 acquisition and devices say nothing about findings; 1 as in hospitals
    prevalence  multiplies how often findings and devices begin
    tier        "coarse", or "fine" (lapse.phantom.patients.mimicry)

`subtlety` moves severities towards the lower edge of their level, next to the dead band, and
never changes what a level means: the words stay true, only less contrast is there to see.
"""

from __future__ import annotations

from dataclasses import dataclass

from lapse.core.types import nearest
from lapse.phantom.patients.mimicry import TIERS

MAX_NUISANCE = 1.5
LOW_LEVELS = 0.6  # at subtlety 1 each level is drawn this much more rarely than the one below


@dataclass(frozen=True, slots=True)
class Difficulty:
    """One setting of all difficulty.

    Raises:
        ValueError: a knob is outside its range.
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


USUAL = Difficulty()
