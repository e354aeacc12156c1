"""Tiers: fine findings, the harmless mimics that resemble them, and their frequencies.

    coarse   findings are drawn in full; mimics occur at random with single exposures
    fine     the four findings below are drawn only by a cue below the sampling limit, and each new
             instance is with equal probability the finding or its mimic

A finding and its mimic follow the same Markov chain with the same location and seed: they begin,
change and resolve equally often, so the appearance at low resolution does not separate them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lapse.core.seeding import derive_uniform
from lapse.phantom.patients.catalogue import FINDING_SPECS, FLUID, GRADED, Spec
from lapse.phantom.patients.state import Finding, Mimic

TIERS = ("coarse", "fine")  # of a patient; a simulation may mix them
MIMIC_OF: dict[str, str] = {
    "pneumothorax": "skin fold",
    "edema": "under-exposure haze",
    "granuloma": "end-on vessel",
    "fracture": "nutrient canal",
}
FINE_FINDINGS = tuple(MIMIC_OF)


@dataclass(frozen=True, slots=True)
class MimicSpec:
    """A mimic that occurs with a single exposure."""

    name: str
    like: str  # the finding that it resembles
    rate: float  # fraction of images, at nuisance 1


MIMICS: tuple[MimicSpec, ...] = (
    MimicSpec("skin fold", "pneumothorax", 0.05),
    MimicSpec("under-exposure haze", "edema", 0.05),
    MimicSpec("end-on vessel", "granuloma", 0.06),
    MimicSpec("nutrient canal", "fracture", 0.04),
    MimicSpec("expiration crowding", "atelectasis", 0.05),
    MimicSpec("ap magnification", "cardiomegaly", 0.05),
    MimicSpec("breast shadow", "lung opacity", 0.05),
)

# Rates are twice those of the finding, because half of the instances are mimics. Granulomas and
# fractures resolve here, unlike in real patients, so that they take part in change questions.
_FINE_TIER: dict[str, dict[str, Any]] = {
    "pneumothorax": {"prevalence": 0.2, "onset": 0.12, "resolve": 0.45, "scale": FLUID[:2]},
    "edema": {"prevalence": 0.24, "onset": 0.14, "resolve": 0.45, "scale": GRADED[:2]},
    "granuloma": {"prevalence": 0.2, "onset": 0.1, "resolve": 0.4},
    "fracture": {"prevalence": 0.2, "onset": 0.1, "resolve": 0.4},
}
_FINE_SPECS = tuple(replace(spec, **_FINE_TIER.get(spec.name, {})) for spec in FINDING_SPECS)


def tier_specs(tier: str) -> tuple[Spec, ...]:
    """The findings of a tier, in the order of the catalogue."""
    return _FINE_SPECS if tier == "fine" else FINDING_SPECS


def is_mimic(finding: Finding) -> bool:
    """Whether an instance of a fine finding is its mimic (probability one half)."""
    return finding.is_fine and derive_uniform("phantom/mimic", finding.seed) < 0.5


def mimic_of(finding: Finding) -> Mimic:
    """The mimic at the location of a fine finding, with the same seed."""
    return Mimic(MIMIC_OF[finding.name], finding.name, finding.side, finding.zone, finding.seed)


def exposure_mimics(tier: str) -> tuple[MimicSpec, ...]:
    """The mimics that occur with single exposures; the fine tier draws its four in the chain."""
    return tuple(spec for spec in MIMICS if tier == "coarse" or spec.like not in FINE_FINDINGS)
