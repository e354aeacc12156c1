"""What to simulate: the options of `simulate`, checked when they are made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lapse.core.types import nearest
from lapse.phantom.dataset.dicom_file import IMAGES
from lapse.phantom.patients.difficulty import Difficulty
from lapse.phantom.patients.findings import MAX_VISITS
from lapse.phantom.patients.identity import PARTS
from lapse.phantom.patients.mimicry import TIERS

TIER_CHOICES = (*TIERS, "mixed")


@dataclass(frozen=True, slots=True)
class SimulateConfig:
    """What to simulate.

    Attributes:
        patients: how many patients; with `only` how many are drawn, of whom one part is written.
        seed: root of all randomness.
        size: longest side of the images in pixels.
        visits: fewest and most visits of a patient.
        nuisance: strength of everything that is not a finding, 0 .. 1.5.
        confound: how far view and devices follow illness, 0 (not) .. 1 (as in hospitals).
        prevalence: multiplies how often findings begin.
        priors: print sentences that compare with the study before.
        processes: how many to use; the files do not depend on it.
        images: "jpeg"; or "dicom"; or "both", and then the JPEGs are made of the DICOMs as
            MIMIC-CXR-JPG's were, where "jpeg" equalises only in part.
        subtlety: how faint findings are within their level, 0 .. 1
        (lapse.phantom.patients.difficulty).
        tier: "coarse", "fine", or "mixed": a coin for each patient
        (lapse.phantom.patients.mimicry).
        quads: share of the test patients that are counterfactual quads
        (lapse.phantom.patients.quads).
        tails: share of the test patients in held-out tails, a quarter in each of the four.
        only: write the patients of this part alone, "train", "validate" or "test", with the
            files that they have in the whole tree; "" writes every part.
    """

    patients: int
    seed: int
    size: int
    visits: tuple[int, int] = (2, 4)
    nuisance: float = 1.0
    confound: float = 0.0
    prevalence: float = 1.0
    priors: bool = False
    processes: int = 1
    images: str = "jpeg"
    subtlety: float = 0.0
    tier: str = "coarse"
    quads: float = 0.1
    tails: float = 0.2
    only: str = ""

    def __post_init__(self) -> None:
        low, high = self.visits
        if not 1 <= low <= high <= MAX_VISITS:
            raise ValueError(f"visits {low}-{high}: need 1 <= fewest <= most <= {MAX_VISITS}")
        if not 64 <= self.size <= 3072:
            raise ValueError(f"image size {self.size} px: choose between 64 and 3072")
        if self.tier not in TIER_CHOICES:
            raise ValueError(f"no tier {self.tier!r}; {nearest(self.tier, TIER_CHOICES)}")
        self.difficulty("coarse")  # checks its numbers
        if self.processes < 1:
            raise ValueError(f"processes {self.processes}: at least one")
        if self.images not in IMAGES:
            raise ValueError(f"no images {self.images!r}; {nearest(self.images, IMAGES)}")
        if self.only and self.only not in PARTS:
            raise ValueError(f"no part {self.only!r} to write alone; {nearest(self.only, PARTS)}")
        for name, share in (("quads", self.quads), ("tails", self.tails)):
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} {share}: a share of the test patients, 0 to 1")
        if self.quads + self.tails > 1.0:
            raise ValueError(
                f"quads {self.quads} and tails {self.tails} are more than all test patients"
            )

    @property
    def told(self) -> dict[str, Any]:
        """The options that the files depend on; a part that is not chosen is not mentioned."""
        options = asdict(self)
        del options["processes"]
        if not self.only:
            del options["only"]
        return options

    def difficulty(self, tier: str) -> Difficulty:
        """The difficulty of a patient of this tier."""
        return Difficulty(self.nuisance, self.subtlety, self.confound, self.prevalence, tier)
