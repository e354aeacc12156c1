"""Primitives of lesions: where a finding is, and the arrays that the kernels read.

A body is an ellipsoid with a ragged edge, visible only in aerated lung (volumes.soft_tissue); bands
and dense parts are tubes (splat.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import cos, sin

import numpy as np

from lapse.phantom.patients.state import Finding
from lapse.phantom.rendering.anatomy import SIGNS, Anatomy
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.effects import side_indices
from lapse.phantom.rendering.kernels import Floats

NUM_BODY_VALUES = 23
SOLID = 0.0139  # per mm: soft tissue instead of aerated lung


@dataclass(frozen=True, slots=True)
class LesionBody:
    """An opacity inside the lung: an ellipsoid with a ragged edge. Lengths in mm."""

    centre: Floats
    axes: Floats | tuple[float, float, float]
    mu: float  # per mm at the centre, in addition to the lung
    side: int  # 0 right, 1 left
    ragged: float = 0.22  # irregularity of the edge
    patchy: float = 0.25  # irregularity of the density
    power: float = 0.6  # of the decrease towards the edge
    turn: float = 0.0  # rad in the frontal plane
    solid: float = 0.0  # fraction of consolidated lung, which shows air bronchograms
    plane: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Fissure (a, b, c, w): only a x + b z > c is opaque, with a transition of w mm (0: none)."""
    wave: tuple[float, float] = (0.0, 0.0)
    """Unevenness of the fissure in mm, and its curvature; 0 for a straight cut."""

    def values(self, rng: np.random.Generator) -> list[float]:
        """The values that volumes.soft_tissue reads, with a random texture offset. # [23]"""
        ellipsoid = (*self.centre, *self.axes, cos(self.turn), sin(self.turn))
        texture = (*rng.uniform(0, 512, 2), self.patchy, self.power, self.solid)
        cut = (SIGNS[self.side], *self.plane, *self.wave)
        return [*ellipsoid, self.mu, self.ragged, 0.0, *texture, *cut]


@dataclass(slots=True)
class Lesions:
    """All lesions of a visit at one exposure."""

    bodies: list[list[float]] = field(default_factory=list)  # [n][23] inside the lung
    bands: list[Floats] = field(default_factory=list)  # tubes, visible only through aerated lung
    dense: list[Floats] = field(default_factory=list)  # tubes, visible everywhere
    masses: list[list[float]] = field(default_factory=list)  # [n][8] ellipsoids that displace lung
    gases: list[list[float]] = field(default_factory=list)  # [n][9]
    fractures: list[tuple[int, int, float, float]] = field(default_factory=list)
    """(side, rib, fraction of its length, mm of displacement)"""

    def add_body(self, body: LesionBody, rng: np.random.Generator) -> None:
        """Add an opacity with a random texture."""
        self.bodies.append(body.values(rng))

    def body_array(self) -> Floats:
        """The bodies as an array. # [n, 23]"""
        return np.array(self.bodies, dtype=np.float64).reshape(-1, NUM_BODY_VALUES)


@dataclass(frozen=True, slots=True)
class Site:
    """One side of a finding at an exposure."""

    finding: Finding
    severity: float  # 0 .. 1
    side: int  # 0 right, 1 left
    anatomy: Anatomy

    @property
    def sign(self) -> float:
        """The sign of x."""
        return SIGNS[self.side]

    def rng(self, *stream: int) -> np.random.Generator:
        """A random stream of the finding, equal at every visit."""
        return np.random.Generator(np.random.PCG64([abs(self.finding.seed), self.side, *stream]))

    def middle(self, z: float) -> float:
        """x of the midline at a height."""
        return self.anatomy.at(Column.MIDDLE, z)

    def half_width(self, z: float) -> float:
        """Inner half width of this side of the cavity at a height."""
        return self.anatomy.half_width(self.side, z)

    def position(self, rng: np.random.Generator) -> Floats:
        """A random position in the zone of the finding at full inspiration. # [3]"""
        patient, side = self.anatomy.patient, self.side
        low, high = {
            "apical": (62.0, 74.0),
            "upper": (26.0, 52.0),
            "mid": (-34.0, 4.0),
            "lower": (-88.0, -58.0),
            "basilar": (-100.0, -84.0),
        }.get(self.finding.zone, (-80.0, 30.0))
        z = patient.height * (low + (high - low) * float(rng.random()))
        up = float(np.clip((z + 88.0) / (185.0 * patient.height), 0.0, 0.99))
        half = 132.0 * patient.width * (1.0 - up**2.5) ** 0.49
        near = 0.56 if side == 1 and z < -40 else 0.42  # lateral to the heart
        x = half * (near + (0.74 - near) * float(rng.random()))
        y = -14.0 - 0.2 * max(z, 0.0) + 26.0 * float(rng.uniform(-1, 1)) * (1.0 - up)
        return np.array([self.sign * x, y, z])


def sites_of(finding: Finding, anatomy: Anatomy) -> Iterator[Site]:
    """The side or sides of a finding, right before left."""
    severity = min(1.0, max(0.0, finding.severity))
    for side in side_indices(finding.side):
        yield Site(finding, severity, side, anatomy)
