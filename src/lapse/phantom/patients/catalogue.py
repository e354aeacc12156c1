"""The simulator's findings: how often, where, which kinds, how graded, how long they stay.

One row per finding that the renderer draws. The frequencies are rough shares of hospital chest
radiographs (effusion, atelectasis, opacity, large heart, edema are common), set by hand; nothing
was counted on credentialed data. Severity to level follows docs/explanation/phantom.md: cuts
at .2, .4, .7 and .85 with a dead band of .08 around each, so that a level can be told by eye.
"""

from __future__ import annotations

from dataclasses import dataclass

Weights = tuple[tuple[str, float], ...]

CUTS = (0.2, 0.4, 0.7, 0.85)
DEAD_BAND = 0.08
MIN_LEVEL_CHANGE = 0.15


@dataclass(frozen=True, slots=True)
class Grade:
    """One level of a scale: its word, the severities drawn for it, and how often."""

    word: str
    low: float
    high: float
    weight: float


# Severities stay half a dead band away from each cut.
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
MARK = (Grade("", 0.30, 0.60, 1.0),)  # lifelong marks make nobody acutely ill


@dataclass(frozen=True, slots=True)
class Spec:
    """How one finding behaves in a population of patients.

    `prevalence` is its share of first visits, `resolve` the chance to be gone at the next
    visit (0: lifetime), `onset` the chance to begin between two visits, `elderly` makes it
    rarer below 50 years and commoner above. Weights need not sum to one.
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
OFTEN_BOTH: Weights = (("left", 1.0), ("right", 1.0), ("bilateral", 1.0))
BOTH: Weights = (("bilateral", 1.0),)
MIDLINE: Weights = (("", 1.0),)
LUNG: Weights = (("upper", 1.0), ("mid", 1.0), ("lower", 2.0))

SPECS: tuple[Spec, ...] = (
    Spec("heart failure", 0.05, 0.45, MIDLINE, onset=0.03, elderly=True),
    Spec(
        "pleural effusion",
        0.24,
        0.35,
        OFTEN_BOTH,
        (("basilar", 1.0),),
        (("", 5.0), ("layering", 1.0)),
        FLUID,
        onset=0.11,
    ),
    Spec(
        "atelectasis",
        0.26,
        0.35,
        (("left", 2.0), ("right", 2.0), ("bilateral", 1.5)),
        (("basilar", 4.0), ("lower", 1.0), ("mid", 1.0)),
        (("", 3.0), ("linear", 1.5), ("plate-like", 1.0), ("compressive", 1.0)),
        GRADED,
        onset=0.12,
    ),
    Spec("cardiomegaly", 0.22, 0.12, MIDLINE, scale=GRADED, onset=0.03, elderly=True),
    Spec(
        "edema",
        0.15,
        0.45,
        BOTH,
        types=(("", 2.0), ("interstitial", 1.0)),
        scale=GRADED,
        onset=0.07,
    ),
    Spec("vascular congestion", 0.10, 0.45, BOTH, scale=GRADED, onset=0.05),
    Spec("hilar congestion", 0.03, 0.5, BOTH, onset=0.02),
    Spec("pneumothorax", 0.07, 0.5, EITHER, (("apical", 1.0),), scale=FLUID, onset=0.04),
    Spec(
        "lung opacity",
        0.17,
        0.4,
        (("left", 2.0), ("right", 2.0), ("bilateral", 1.0)),
        LUNG,
        (("", 2.0), ("patchy", 2.0), ("focal", 1.0), ("ground-glass", 1.0)),
        onset=0.08,
    ),
    Spec(
        "consolidation",
        0.07,
        0.4,
        EITHER,
        LUNG,
        (("", 2.0), ("dense", 1.0), ("focal", 1.0)),
        onset=0.04,
    ),
    Spec(
        "pneumonia",
        0.08,
        0.5,
        (("left", 2.0), ("right", 2.0), ("bilateral", 1.0)),
        LUNG,
        (("", 2.0), ("focal", 1.0), ("multifocal", 1.0)),
        onset=0.05,
    ),
    Spec("blunting of the costophrenic angle", 0.04, 0.3, EITHER, (("basilar", 1.0),), onset=0.02),
    Spec("pleural thickening", 0.04, 0.0, EITHER, (("apical", 2.0), ("lower", 1.0)), scale=MARK),
    Spec("emphysema", 0.06, 0.0, BOTH, elderly=True, scale=MARK),
    Spec("granuloma", 0.04, 0.0, EITHER, LUNG, (("calcified", 1.0),), scale=MARK),
    Spec("calcification", 0.04, 0.0, MIDLINE, elderly=True, scale=MARK),
    Spec(
        "fracture",
        0.04,
        0.0,
        EITHER,
        (("upper", 1.0), ("mid", 2.0), ("lower", 1.0)),
        onset=0.006,
        scale=MARK,
    ),
    Spec("scoliosis", 0.05, 0.0, MIDLINE, scale=MARK),
    Spec("tortuosity of the thoracic aorta", 0.06, 0.0, MIDLINE, elderly=True, scale=MARK),
    Spec("hernia", 0.03, 0.0, MIDLINE, elderly=True, scale=MARK),
    Spec("gastric distention", 0.03, 0.6, (("left", 1.0),), onset=0.02),
)
BY_NAME = {spec.name: spec for spec in SPECS}

# Seen together in one tail of the test part and nowhere else (lapse.phantom.patients.tails).
HELD_OUT_COMBINATIONS = (("pneumothorax", "pneumonia"), ("emphysema", "consolidation"))


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """How often a device is there at the first visit, begins later, and is taken out."""

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
