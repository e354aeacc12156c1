"""The simulated findings and devices: frequency, location, type, grading and persistence.

One entry per finding that the renderer draws. The frequencies are rough proportions in hospital
chest radiographs, set by hand (effusion, atelectasis, opacity, cardiomegaly and edema are common);
no credentialed data were used. Severity maps to a level with cuts at .2, .4, .7 and .85
and a dead band of .08 around each, so that a level can be read from the image.
"""

from __future__ import annotations

from dataclasses import dataclass

Weights = tuple[tuple[str, float], ...]

CUTS = (0.2, 0.4, 0.7, 0.85)
DEAD_BAND = 0.08
MIN_LEVEL_CHANGE = 0.15


@dataclass(frozen=True, slots=True)
class Grade:
    """One level of a scale: its word, its range of severities and its relative frequency."""

    word: str
    low: float
    high: float
    weight: float


# Severities keep half a dead band of distance from each cut.
FLUID = (
    Grade("minimal", 0.10, 0.16, 0.12),
    Grade("small", 0.24, 0.36, 0.40),
    Grade("moderate", 0.44, 0.66, 0.30),
    Grade("moderate to large", 0.74, 0.81, 0.12),
    Grade("massive", 0.89, 0.98, 0.06),
)
GRADED = (
    Grade("minimal", 0.10, 0.16, 0.10),
    Grade("mild", 0.24, 0.36, 0.40),
    Grade("moderate", 0.44, 0.66, 0.33),
    Grade("severe", 0.74, 0.96, 0.17),
)
UNGRADED = (Grade("", 0.30, 0.85, 1.0),)
LIFELONG = (Grade("", 0.30, 0.60, 1.0),)  # chronic findings do not count as acute illness


@dataclass(frozen=True, slots=True)
class Spec:
    """How one finding is distributed over a population of patients.

    Attributes:
        name: one of `lapse.core.findings.FINDINGS`.
        prevalence: probability at the first visit.
        resolve: probability of resolution by the next visit; 0 for a lifelong finding.
        sides: relative frequencies of the sides; like all weights, they need not sum to one.
        zones: relative frequencies of the lung zones.
        types: relative frequencies of the types.
        scale: levels of severity.
        onset: probability of onset between two visits.
        elderly: whether the finding is rarer below 50 years and more frequent above.
    """

    name: str
    prevalence: float
    resolve: float
    sides: Weights
    zones: Weights = (("", 1.0),)
    types: Weights = (("", 1.0),)
    scale: tuple[Grade, ...] = UNGRADED
    onset: float = 0.0
    elderly: bool = False


EITHER: Weights = (("left", 1.0), ("right", 1.0))
ANY_SIDE: Weights = (("left", 1.0), ("right", 1.0), ("bilateral", 1.0))
RARELY_BOTH: Weights = (("left", 2.0), ("right", 2.0), ("bilateral", 1.0))
BILATERAL: Weights = (("bilateral", 1.0),)
MIDLINE: Weights = (("", 1.0),)
LUNG: Weights = (("upper", 1.0), ("mid", 1.0), ("lower", 2.0))
BASE: Weights = (("basilar", 1.0),)
APEX: Weights = (("apical", 1.0),)

_EFFUSIONS: Weights = (("", 5.0), ("layering", 1.0))
_ATELECTASES: Weights = (("", 3.0), ("linear", 1.5), ("plate-like", 1.0), ("compressive", 1.0))
_LOW_SIDES: Weights = (("left", 2.0), ("right", 2.0), ("bilateral", 1.5))
_LOW: Weights = (("basilar", 4.0), ("lower", 1.0), ("mid", 1.0))
_OPACITIES: Weights = (("", 2.0), ("patchy", 2.0), ("focal", 1.0), ("ground-glass", 1.0))
_LOBES: Weights = (("", 2.0), ("dense", 1.0), ("focal", 1.0))
_FOCI: Weights = (("", 2.0), ("focal", 1.0), ("multifocal", 1.0))
_EDEMAS: Weights = (("", 2.0), ("interstitial", 1.0))
_SCARS: Weights = (("apical", 2.0), ("lower", 1.0))
_RIBS: Weights = (("upper", 1.0), ("mid", 2.0), ("lower", 1.0))

FINDING_SPECS: tuple[Spec, ...] = (
    Spec("heart failure", 0.05, 0.45, MIDLINE, onset=0.03, elderly=True),
    Spec("pleural effusion", 0.24, 0.35, ANY_SIDE, BASE, _EFFUSIONS, FLUID, onset=0.11),
    Spec("atelectasis", 0.26, 0.35, _LOW_SIDES, _LOW, _ATELECTASES, GRADED, onset=0.12),
    Spec("cardiomegaly", 0.22, 0.12, MIDLINE, scale=GRADED, onset=0.03, elderly=True),
    Spec("edema", 0.15, 0.45, BILATERAL, types=_EDEMAS, scale=GRADED, onset=0.07),
    Spec("vascular congestion", 0.10, 0.45, BILATERAL, scale=GRADED, onset=0.05),
    Spec("hilar congestion", 0.03, 0.5, BILATERAL, onset=0.02),
    Spec("pneumothorax", 0.07, 0.5, EITHER, APEX, scale=FLUID, onset=0.04),
    Spec("lung opacity", 0.17, 0.4, RARELY_BOTH, LUNG, _OPACITIES, onset=0.08),
    Spec("consolidation", 0.07, 0.4, EITHER, LUNG, _LOBES, onset=0.04),
    Spec("pneumonia", 0.08, 0.5, RARELY_BOTH, LUNG, _FOCI, onset=0.05),
    Spec("blunting of the costophrenic angle", 0.04, 0.3, EITHER, BASE, onset=0.02),
    Spec("pleural thickening", 0.04, 0.0, EITHER, _SCARS, scale=LIFELONG),
    Spec("emphysema", 0.06, 0.0, BILATERAL, elderly=True, scale=LIFELONG),
    Spec("granuloma", 0.04, 0.0, EITHER, LUNG, (("calcified", 1.0),), scale=LIFELONG),
    Spec("calcification", 0.04, 0.0, MIDLINE, elderly=True, scale=LIFELONG),
    Spec("fracture", 0.04, 0.0, EITHER, _RIBS, onset=0.006, scale=LIFELONG),
    Spec("scoliosis", 0.05, 0.0, MIDLINE, scale=LIFELONG),
    Spec("tortuosity of the thoracic aorta", 0.06, 0.0, MIDLINE, elderly=True, scale=LIFELONG),
    Spec("hernia", 0.03, 0.0, MIDLINE, elderly=True, scale=LIFELONG),
    Spec("gastric distention", 0.03, 0.6, (("left", 1.0),), onset=0.02),
)
SPEC_BY_NAME = {spec.name: spec for spec in FINDING_SPECS}

# These pairs occur together in one out-of-distribution group of the test split and nowhere else.
HELD_OUT_COMBINATIONS = (("pneumothorax", "pneumonia"), ("emphysema", "consolidation"))


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """Probabilities that a device is present at the first visit, inserted later, and removed."""

    name: str
    prevalence: float
    onset: float
    removal: float
    sides: Weights


DEVICES: tuple[DeviceSpec, ...] = (
    DeviceSpec("endotracheal tube", 0.10, 0.05, 0.5, MIDLINE),
    DeviceSpec("nasogastric tube", 0.10, 0.05, 0.5, MIDLINE),
    DeviceSpec("picc line", 0.08, 0.06, 0.4, (("right", 2.0), ("left", 1.0))),
    DeviceSpec("central line", 0.10, 0.05, 0.5, (("right", 3.0), ("left", 1.0))),
    DeviceSpec("chest tube", 0.04, 0.03, 0.6, EITHER),
    DeviceSpec("pacemaker", 0.07, 0.01, 0.0, (("left", 4.0), ("right", 1.0))),
    DeviceSpec("sternal wires", 0.08, 0.01, 0.0, MIDLINE),
    DeviceSpec("ecg leads", 0.25, 0.2, 0.5, MIDLINE),
)
