"""Tiers: fine findings, the harmless things that look like them, and how often each occurs.

    coarse   every finding is drawn in full; mimics come and go as one more nuisance
    fine     the four findings below are drawn by their cue below the sampling limit alone, and
             each time such a look begins a counted coin decides: the finding, or its mimic

A look keeps its place, its seed and its side of the coin for as long as it stays, and finding
and mimic follow one and the same chain: they begin, change and go equally often, so the look at
low resolution says nothing about which of the two it is. See docs/explanation/phantom.md, "Tiers".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lapse.core.seeding import derive_uniform
from lapse.phantom.patients.catalogue import BY_NAME, FLUID, GRADED, SPECS, Spec
from lapse.phantom.patients.state import Finding, Mimic

TIERS = ("coarse", "fine")  # of a patient; a tree may mix them
MIMIC_OF: dict[str, str] = {
    "pneumothorax": "skin fold",
    "edema": "under-exposure haze",
    "granuloma": "end-on vessel",
    "fracture": "nutrient canal",
}
FINE = tuple(MIMIC_OF)


@dataclass(frozen=True, slots=True)
class MimicSpec:
    """A mimic as a nuisance of the single exposure: what it is taken for, and how often."""

    name: str
    like: str
    rate: float  # share of images, at nuisance 1


MIMICS: tuple[MimicSpec, ...] = (
    MimicSpec("skin fold", "pneumothorax", 0.05),
    MimicSpec("under-exposure haze", "edema", 0.05),
    MimicSpec("end-on vessel", "granuloma", 0.06),
    MimicSpec("nutrient canal", "fracture", 0.04),
    MimicSpec("expiration crowding", "atelectasis", 0.05),
    MimicSpec("ap magnification", "cardiomegaly", 0.05),
    MimicSpec("breast shadow", "lung opacity", 0.05),
)

# Looks of the fine tier: twice the wanted rate of the finding, as half of them are mimics. Here
# granulomas and fractures come and go, unlike in life: a look that never changes asks nothing.
_LOOKS = {
    "pneumothorax": replace(
        BY_NAME["pneumothorax"], prevalence=0.2, onset=0.12, resolve=0.45, scale=FLUID[:2]
    ),
    "edema": replace(BY_NAME["edema"], prevalence=0.24, onset=0.14, resolve=0.45, scale=GRADED[:2]),
    "granuloma": replace(BY_NAME["granuloma"], prevalence=0.2, onset=0.1, resolve=0.4),
    "fracture": replace(BY_NAME["fracture"], prevalence=0.2, onset=0.1, resolve=0.4),
}
_FINE_SPECS = tuple(_LOOKS.get(spec.name, spec) for spec in SPECS)


def specs_of(tier: str) -> tuple[Spec, ...]:
    """The catalogue as this tier draws it, in the catalogue's order."""
    return _FINE_SPECS if tier == "fine" else SPECS


def is_mimic(look: Finding) -> bool:
    """Whether a look of the fine tier is the mimic, by its own counted coin."""
    return look.is_fine and derive_uniform("phantom/mimic", look.seed) < 0.5


def mimic_of(look: Finding) -> Mimic:
    """The mimic at the same place and of the same instance as a fine finding."""
    return Mimic(MIMIC_OF[look.name], look.name, look.side, look.zone, look.seed)


def nuisance_mimics(tier: str) -> tuple[MimicSpec, ...]:
    """The mimics that come with an exposure; in the fine tier the four of the looks do not."""
    return tuple(spec for spec in MIMICS if tier == "coarse" or spec.like not in FINE)
