"""The state of a simulated patient at one visit: findings, mimics and devices.

Rendering and text generation both read these values and nothing else of a visit. Names of findings
are those of `lapse.core.findings.FINDINGS`; "left" and "right" are the patient's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """One abnormality. A finding that persists over visits keeps its `seed`."""

    name: str  # one of findings.FINDINGS
    side: str  # "left", "right", "bilateral" or "" (midline or systemic)
    zone: str  # "apical", "upper", "mid", "lower", "basilar" or ""
    severity: float  # 0 .. 1
    type: str  # one of findings.TYPES or ""
    seed: int  # identity of the instance; determines position, shape and texture
    is_fine: bool = False  # tier "fine": only the cue below the sampling limit is drawn


@dataclass(frozen=True, slots=True)
class Mimic:
    """A harmless structure that resembles a finding at low resolution: "skin fold" (pneumothorax),
    "end-on vessel" (granuloma), "under-exposure haze" (edema), "expiration crowding" (edema,
    atelectasis), "ap magnification" (cardiomegaly), "breast shadow" (effusion, opacity),
    "nutrient canal" (fracture)."""

    name: str
    like: str  # the finding that it resembles, one of findings.FINDINGS
    side: str
    zone: str
    seed: int


@dataclass(frozen=True, slots=True)
class Device:
    """A tube, line or implant: "endotracheal tube", "nasogastric tube", "picc line",
    "central line", "chest tube", "pacemaker", "sternal wires", "ecg leads"."""

    name: str
    side: str
    seed: int


@dataclass(frozen=True, slots=True)
class Visit:
    """The state of a patient at one examination."""

    patient: int
    index: int  # 0 for the first visit
    taken_at: datetime
    findings: tuple[Finding, ...]
    devices: tuple[Device, ...]
    mimics: tuple[Mimic, ...] = ()

    @property
    def illness(self) -> float:
        """The largest severity of any finding, 0 .. 1."""
        return max((finding.severity for finding in self.findings), default=0.0)
