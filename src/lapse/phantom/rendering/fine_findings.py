"""Cues below the sampling limit of a 448-pixel image, and the mimics that resemble them.

A fine finding (`Finding.is_fine`) is drawn only by its cue: a pleural line, Kerley lines, a 2 mm
granuloma, a hairline fracture. Its mimic has the same course and the same mass per length, spread
over a width that a small image resolves. Downsampled images of both are nearly equal.

    finding   mu, radius r         mimic   mu / k^2, radius k r        (mass = mu pi r^2)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lapse.phantom.patients.state import Finding, Mimic
from lapse.phantom.rendering.anatomy import SIGNS, Anatomy
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.effects import side_indices
from lapse.phantom.rendering.kernels import Floats
from lapse.phantom.rendering.lesion_shapes import Lesions, lesion_position
from lapse.phantom.rendering.skeleton import rib_line
from lapse.phantom.rendering.splat import smooth_line, tubes_of

HAIR = 0.3  # mm, radius of a pleural, septal or fracture line
# width of each mimic relative to the cue of its finding
WIDENING = {
    "skin fold": 4.0,
    "end-on vessel": 2.2,
    "under-exposure haze": 5.0,
    "expiration crowding": 4.5,
    "breast shadow": 4.0,
    "nutrient canal": 4.0,
}
MIMICKED: dict[str, tuple[str, ...]] = {  # mimic -> the findings that it resembles
    "skin fold": ("pneumothorax",),
    "end-on vessel": ("granuloma",),
    "under-exposure haze": ("edema",),
    "expiration crowding": ("atelectasis", "edema"),
    "breast shadow": ("lung opacity", "pleural effusion"),
    "nutrient canal": ("fracture",),
}


@dataclass(frozen=True, slots=True)
class CueContext:
    """Location and severity of a cue."""

    zone: str
    side: int  # 0 right, 1 left
    anatomy: Anatomy
    severity: float  # 0 .. 1


Rng = np.random.Generator
Cue = Callable[[CueContext, Rng], list[Floats]]


def fine_tubes(item: Finding | Mimic, anatomy: Anatomy, side: int, severity: float) -> list[Floats]:
    """The tubes of the cue of a fine finding, or the widened tubes of a mimic; none if unknown."""
    name = item.name if isinstance(item, Finding) else item.like
    cue = CUES.get(name)
    if cue is None:
        return []
    factor = 1.0 if isinstance(item, Finding) else WIDENING.get(item.name, 0.0)
    if factor == 0.0:
        return []
    rng = np.random.Generator(np.random.PCG64([abs(item.seed), side, 13]))
    tubes = cue(CueContext(item.zone, side, anatomy, severity), rng)
    for rows in tubes:
        rows[:, (3, 7)] *= factor
        rows[:, 8] /= factor**2
    return tubes


def add_fine(lesions: Lesions, finding: Finding, anatomy: Anatomy) -> None:
    """Draw a fine finding on its side or sides."""
    severity = min(1.0, max(0.0, finding.severity))
    for side in side_indices(finding.side):
        lesions.dense += fine_tubes(finding, anatomy, side, severity)


def add_mimic(lesions: Lesions, mimic: Mimic, anatomy: Anatomy) -> None:
    """Draw a mimic on its side or sides, with the size of a minimal or small finding."""
    severity = mimic_severity(mimic.seed)
    for side in side_indices(mimic.side):
        lesions.dense += fine_tubes(mimic, anatomy, side, severity)


def mimic_severity(seed: int) -> float:
    """The severity of the finding that a mimic of this seed resembles."""
    rng = np.random.Generator(np.random.PCG64([abs(seed), 14]))
    return float(rng.uniform(0.1, 0.16) if rng.random() < 0.2 else rng.uniform(0.24, 0.36))


def _position(context: CueContext, rng: Rng) -> Floats:
    position = lesion_position(context.zone, context.side, context.anatomy, rng)
    return np.asarray(context.anatomy.breathe(position[None])[0])


def _inside_wall(
    side: int, anatomy: Anatomy, low: float, high: float, gap: Floats | float
) -> Floats:
    """A line along the chest wall, `gap` mm inside of it, from `high` to `low`. # [40, 3]"""
    heights = np.linspace(high, low, 40)
    half = np.array([anatomy.half_width(side, z) for z in heights])
    slope = np.gradient(half, heights)
    steep = np.sqrt(1.0 + slope**2)
    x = np.maximum(half - gap / steep, 4.0)
    z = heights - gap * np.abs(slope) / steep
    middle = np.array([anatomy.at(Column.MIDDLE, value) for value in z])
    y = np.array([anatomy.at(Column.CAVITY_Y, value) for value in z])
    return np.stack([middle + SIGNS[side] * x, y, z], axis=1)


def _pleural_line(context: CueContext, rng: Rng) -> list[Floats]:
    """The visceral pleura a few mm inside of the apical chest wall."""
    side, anatomy = context.side, context.anatomy
    wide = 3.5 + 26.0 * context.severity + float(rng.uniform(0, 2))
    gap = np.linspace(wide, 0.4 * wide, 40)
    low = anatomy.apex - float(rng.uniform(50, 70)) - 60.0 * context.severity
    line = _inside_wall(side, anatomy, low, anatomy.apex - 3.0, gap)
    return [tubes_of(line, HAIR, 0.3)]


def _septal_lines(context: CueContext, rng: Rng) -> list[Floats]:
    """Kerley B lines: short, horizontal, at the lateral base."""
    side, anatomy = context.side, context.anatomy
    rows = []
    count = round(5 + 26 * context.severity)
    for index in range(count):
        z = anatomy.top[side] - 12.0 + 66.0 * (index + float(rng.random())) / count
        x = anatomy.at(Column.MIDDLE, z) + SIGNS[side] * (anatomy.half_width(side, z) - 2.0)
        long = float(rng.uniform(11, 20))
        ends = [(x, -10.0, z), (x - SIGNS[side] * long, -12.0, z + float(rng.uniform(-1, 3)))]
        rows.append(tubes_of(np.array(ends), HAIR, 0.26))
    return rows


def _dot(context: CueContext, rng: Rng) -> list[Floats]:
    """A calcified granuloma of 2 mm."""
    centre = _position(context, rng)
    return [tubes_of(centre + np.array([(0, -0.9, 0), (0, 0.9, 0)]), 1.0, 0.2)]


def _hairline(context: CueContext, rng: Rng) -> list[Floats]:
    """A dark, slightly oblique line through the lateral part of a rib."""
    side, anatomy = context.side, context.anatomy
    number = {"upper": 4, "apical": 3, "mid": 6, "lower": 7, "basilar": 8}.get(context.zone, 6)
    line = rib_line(anatomy, side, number)
    index = round(float(rng.uniform(0.26, 0.36)) * (len(line) - 1))
    along = line[index + 1] - line[index - 1]
    along /= np.linalg.norm(along)
    across = np.array([-along[2], 0.0, along[0]])
    across /= max(float(np.linalg.norm(across)), 1e-6)
    lean = float(rng.uniform(-0.5, 0.5)) * along
    ends = np.stack([line[index] - 5.5 * (across + lean), line[index] + 5.5 * (across + lean)])
    return [tubes_of(ends, HAIR, -0.55)]


def _hair_bands(context: CueContext, rng: Rng) -> list[Floats]:
    """Two thin lines of atelectasis above the diaphragm or lateral to the hilum."""
    side, anatomy = context.side, context.anatomy
    at_base = context.zone in ("basilar", "lower", "")
    rows = []
    for index in range(2):
        z = (anatomy.top[side] + 12.0 if at_base else anatomy.hila[side][1] - 20.0) + 14.0 * index
        half = anatomy.half_width(side, z)
        fraction = float(rng.uniform(0.36, 0.48)) + (0.1 if side and at_base else 0.0)
        x = anatomy.at(Column.MIDDLE, z) + SIGNS[side] * fraction * half
        far = x + SIGNS[side] * min(float(rng.uniform(36, 52)), 0.4 * half)
        rise = float(rng.uniform(-5, 5))
        knots = [(x, -25.0, z), (0.5 * (x + far), -27.0, z + 0.6 * rise), (far, -26.0, z + rise)]
        rows.append(tubes_of(smooth_line(np.array(knots), 20), HAIR, 0.28))
    return rows


def _stripe(context: CueContext, rng: Rng) -> list[Floats]:
    """A thin layer of fluid at the lateral wall, above the costophrenic angle."""
    side, anatomy = context.side, context.anatomy
    low = anatomy.sulcus[side] + 6.0
    gap = np.linspace(2.4, float(rng.uniform(3.0, 5.0)), 40)
    line = _inside_wall(side, anatomy, low, low + float(rng.uniform(46, 62)), gap)
    return [tubes_of(line, HAIR, 0.3)]


def _grains(context: CueContext, rng: Rng) -> list[Floats]:
    """A cluster of nodules of 1 mm."""
    centre = _position(context, rng)
    rows = []
    for _ in range(26):
        position = centre + rng.normal(0.0, 1.0, 3) * (10.0, 8.0, 10.0)
        rows.append(tubes_of(position + np.array([(0, -0.5, 0), (0, 0.5, 0)]), 0.5, 0.3))
    return rows


CUES: dict[str, Cue] = {
    "pneumothorax": _pleural_line,
    "edema": _septal_lines,
    "granuloma": _dot,
    "fracture": _hairline,
    "atelectasis": _hair_bands,
    "pleural effusion": _stripe,
    "lung opacity": _grains,
}
