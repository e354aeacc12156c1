"""What a lesion is made of: its place in the lung, and the rows that the kernels read.

A body is an ellipsoid with a ragged edge, seen only in aerated lung (read by
volumes.soft_tissue); bands and dense parts are tubes (splat.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import cos, sin

import numpy as np

from lapse.phantom.patients.state import Finding
from lapse.phantom.rendering.anatomy import SIGNS, Anatomy
from lapse.phantom.rendering.kernels import Floats

LESION = 21
SOLID = 0.0139  # per mm: soft tissue in place of aerated lung


@dataclass(slots=True)
class Lesions:
    """All lesions of a visit at one exposure."""

    bodies: list[list[float]] = field(default_factory=list)  # [n][21] inside the lung
    bands: list[Floats] = field(default_factory=list)  # tubes seen only through aerated lung
    dense: list[Floats] = field(default_factory=list)  # tubes seen everywhere
    masses: list[list[float]] = field(default_factory=list)  # [n][8] solids that displace lung
    gases: list[list[float]] = field(default_factory=list)  # [n][9]
    broken: list[tuple[int, int, float, float]] = field(default_factory=list)
    """(side, rib, share of its length, mm of displacement)"""

    def rows(self) -> Floats:
        """The bodies as an array. # [n, 21]"""
        return np.array(self.bodies, dtype=np.float64).reshape(-1, LESION)


def lesion_stream(finding: Finding, side: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([abs(finding.seed), side]))


def lesion_spot(finding: Finding, side: int, anatomy: Anatomy, draw: np.random.Generator) -> Floats:
    """A place in a zone of a lung, in a full breath. # [3]"""
    patient = anatomy.patient
    low, high = {
        "apical": (62.0, 74.0),
        "upper": (26.0, 52.0),
        "mid": (-34.0, 4.0),
        "lower": (-88.0, -58.0),
        "basilar": (-100.0, -84.0),
    }.get(finding.zone, (-80.0, 30.0))
    z = patient.height * (low + (high - low) * float(draw.random()))
    up = float(np.clip((z + 88.0) / (185.0 * patient.height), 0.0, 0.99))
    half = 132.0 * patient.width * (1.0 - up**2.5) ** 0.49
    near = 0.56 if side == 1 and z < -40 else 0.42  # beside the heart, not behind it
    x = half * (near + (0.74 - near) * float(draw.random()))
    y = -14.0 - 0.2 * max(z, 0.0) + 26.0 * float(draw.uniform(-1, 1)) * (1.0 - up)
    return np.array([SIGNS[side] * x, y, z])


def lesion_body(
    centre: Floats,
    axes: tuple[float, float, float],
    mu: float,
    draw: np.random.Generator,
    *,
    side: int,
    ragged: float = 0.22,
    patchy: float = 0.25,
    power: float = 0.6,
    turn: float = 0.0,
    solid: float = 0.0,
    plane: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
) -> list[float]:
    """A row of the kernel's lesions."""
    where = draw.uniform(0, 512, 2)
    return [
        *(float(value) for value in centre),
        *axes,
        cos(turn),
        sin(turn),
        mu,
        ragged,
        0.0,
        float(where[0]),
        float(where[1]),
        patchy,
        power,
        solid,
        SIGNS[side],
        *plane,
    ]
