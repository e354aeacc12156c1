"""The options of `simulate`, validated on construction."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lapse.core.types import SPLITS, nearest
from lapse.phantom.dataset.dicom_file import IMAGE_FORMATS
from lapse.phantom.patients.difficulty import Difficulty
from lapse.phantom.patients.findings import MAX_VISITS
from lapse.phantom.patients.mimics import TIERS
from lapse.phantom.patients.patient import ANATOMIES

TIER_CHOICES = (*TIERS, "mixed")
ANATOMY_CHOICES = (*ANATOMIES, "mixed")


@dataclass(frozen=True, slots=True)
class SimulateConfig:
    """What to simulate.

    Attributes:
        patients: number of patients; with `split`, the number from which that split is taken.
        seed: root of all randomness.
        size: longest side of the images in pixels.
        visits: smallest and largest number of visits of a patient.
        nuisance: strength of everything but the findings, 0 .. 1.5.
        confound: how strongly view and devices depend on illness, 0 (not) .. 1 (as in hospitals).
        prevalence: factor of the onset rates of findings.
        priors: whether reports include comparisons with the previous study.
        processes: number of worker processes; the files do not depend on it.
        images: "jpeg", "dicom" or "both". With "both" the JPEGs are converted from the DICOMs as
            in MIMIC-CXR-JPG; with "jpeg" the histogram is equalised only in part.
        subtlety: how faint findings are within their level, 0 .. 1
            (lapse.phantom.patients.difficulty).
        tier: "coarse", "fine", or "mixed" for a random tier per patient
            (lapse.phantom.patients.mimics).
        counterfactual_fraction: fraction of the test patients that are counterfactual quadruplets
            (lapse.phantom.patients.counterfactuals).
        ood_fraction: fraction of the test patients in out-of-distribution groups, a quarter in each
            of the four (lapse.phantom.patients.ood_splits).
        split: write only the patients of this split, "train", "validate" or "test", with the same
            files as in the complete simulation; "" writes all splits.
        portable_fraction: fraction of the films that are made at the bedside
            (lapse.phantom.patients.portable).
        anatomy: "plain", "detailed" with the differences of lapse.phantom.patients.patient, or
            "mixed" for a random one of the two per patient.
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
    counterfactual_fraction: float = 0.1
    ood_fraction: float = 0.2
    split: str = ""
    portable_fraction: float = 0.0
    anatomy: str = "plain"

    def __post_init__(self) -> None:
        low, high = self.visits
        if not 1 <= low <= high <= MAX_VISITS:
            raise ValueError(f"visits {low}-{high}: need 1 <= fewest <= most <= {MAX_VISITS}")
        if not 64 <= self.size <= 3072:
            raise ValueError(f"image size {self.size} px: choose between 64 and 3072")
        choices: dict[str, tuple[str, ...]] = {
            "tier": TIER_CHOICES,
            "images": IMAGE_FORMATS,
            "anatomy": ANATOMY_CHOICES,
        }
        if self.split:
            choices["split"] = SPLITS
        for name, allowed in choices.items():
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f"no {name} {value!r}; {nearest(value, allowed)}")
        self.difficulty("coarse")  # validates its parameters
        if self.processes < 1:
            raise ValueError(f"processes {self.processes}: at least one")
        if not 0.0 <= self.portable_fraction <= 1.0:
            raise ValueError(
                f"portable_fraction {self.portable_fraction}: a fraction of the films, 0 to 1"
            )
        fractions = {
            "counterfactual_fraction": self.counterfactual_fraction,
            "ood_fraction": self.ood_fraction,
        }
        for name, fraction in fractions.items():
            if not 0.0 <= fraction <= 1.0:
                raise ValueError(f"{name} {fraction}: a fraction of the test patients, 0 to 1")
        if sum(fractions.values()) > 1.0:
            words = " and ".join(f"{name} {value}" for name, value in fractions.items())
            raise ValueError(f"{words} add up to more than all test patients")

    @property
    def recorded(self) -> dict[str, Any]:
        """The options that determine the files; those added later only if they are set."""
        options = asdict(self)
        del options["processes"]
        for name, default in (("split", ""), ("portable_fraction", 0.0), ("anatomy", "plain")):
            if options[name] == default:
                del options[name]
        return options

    def difficulty(self, tier: str) -> Difficulty:
        """The difficulty for a patient of this tier."""
        return Difficulty(self.nuisance, self.subtlety, self.confound, self.prevalence, tier)
