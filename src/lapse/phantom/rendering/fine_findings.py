"""Cues below the sampling limit of a 448-pixel image, and the mimics that resemble them.

A fine finding (`Finding.is_fine`) is drawn only by its cue: a pleural line, Kerley lines, a 2 mm
granuloma, a hairline fracture. Its mimic has the same course and the same mass per length, spread
over a width that a small image resolves. Downsampled images of both are nearly equal.

    finding   mu, radius r         mimic   mu / k^2, radius k r        (mass = mu pi r^2)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lapse.phantom.patients.state import Finding, Mimic
from lapse.phantom.rendering.anatomy import Anatomy
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.kernels import Floats
from lapse.phantom.rendering.lesion_shapes import Site, sites_of
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


Rng = np.random.Generator
Cue = Callable[[Site, Rng], list[Floats]]


def cue_tubes(site: Site) -> list[Floats]:
    """The tubes of the cue of a fine finding; none if unknown."""
    cue = CUES.get(site.finding.name)
    return cue(site, site.rng(13)) if cue else []


def mimic_tubes(mimic: Mimic, anatomy: Anatomy) -> list[Floats]:
    """The widened cue of a mimic, with the size of a minimal or small finding; none if unknown."""
    factor = WIDENING.get(mimic.name)
    if factor is None:
        return []
    severity = mimic_severity(mimic.seed)
    finding = Finding(mimic.like, mimic.side, mimic.zone, severity, "", mimic.seed, is_fine=True)
    tubes = [rows for site in sites_of(finding, anatomy) for rows in cue_tubes(site)]
    for rows in tubes:
        rows[:, (3, 7)] *= factor
        rows[:, 8] /= factor**2
    return tubes


def mimic_severity(seed: int) -> float:
    """The severity of the finding that a mimic of this seed resembles."""
    rng = np.random.Generator(np.random.PCG64([abs(seed), 14]))
    return float(rng.uniform(0.1, 0.16) if rng.random() < 0.2 else rng.uniform(0.24, 0.36))


def _position(site: Site, rng: Rng) -> Floats:
    return np.asarray(site.anatomy.breathe(site.position(rng)[None])[0])


def _inside_wall(site: Site, low: float, high: float, gap: Floats | float) -> Floats:
    """A line along the chest wall, `gap` mm inside of it, from `high` to `low`. # [40, 3]"""
    heights = np.linspace(high, low, 40)
    half = np.array([site.half_width(z) for z in heights])
    slope = np.gradient(half, heights)
    steep = np.sqrt(1.0 + slope**2)
    x = np.maximum(half - gap / steep, 4.0)
    z = heights - gap * np.abs(slope) / steep
    middle = np.array([site.middle(value) for value in z])
    y = np.array([site.anatomy.at(Column.CAVITY_Y, value) for value in z])
    return np.stack([middle + site.sign * x, y, z], axis=1)


def _pleural_line(site: Site, rng: Rng) -> list[Floats]:
    """The visceral pleura a few mm inside of the apical chest wall."""
    apex = site.anatomy.apex
    wide = 3.5 + 26.0 * site.severity + float(rng.uniform(0, 2))
    gap = np.linspace(wide, 0.4 * wide, 40)
    low = apex - float(rng.uniform(50, 70)) - 60.0 * site.severity
    return [tubes_of(_inside_wall(site, low, apex - 3.0, gap), HAIR, 0.3)]


def _septal_lines(site: Site, rng: Rng) -> list[Floats]:
    """Kerley B lines: short, horizontal, at the lateral base."""
    rows = []
    count = round(5 + 26 * site.severity)
    for index in range(count):
        z = site.anatomy.top[site.side] - 12.0 + 66.0 * (index + float(rng.random())) / count
        x = site.middle(z) + site.sign * (site.half_width(z) - 2.0)
        long = float(rng.uniform(11, 20))
        ends = [(x, -10.0, z), (x - site.sign * long, -12.0, z + float(rng.uniform(-1, 3)))]
        rows.append(tubes_of(np.array(ends), HAIR, 0.26))
    return rows


def _dot(site: Site, rng: Rng) -> list[Floats]:
    """A calcified granuloma of 2 mm."""
    centre = _position(site, rng)
    return [tubes_of(centre + np.array([(0, -0.9, 0), (0, 0.9, 0)]), 1.0, 0.2)]


def _hairline(site: Site, rng: Rng) -> list[Floats]:
    """A dark, slightly oblique line through the lateral part of a rib."""
    zones = {"upper": 4, "apical": 3, "mid": 6, "lower": 7, "basilar": 8}
    line = rib_line(site.anatomy, site.side, zones.get(site.finding.zone, 6))
    index = round(float(rng.uniform(0.26, 0.36)) * (len(line) - 1))
    along = line[index + 1] - line[index - 1]
    along /= np.linalg.norm(along)
    across = np.array([-along[2], 0.0, along[0]])
    across /= max(float(np.linalg.norm(across)), 1e-6)
    lean = float(rng.uniform(-0.5, 0.5)) * along
    ends = np.stack([line[index] - 5.5 * (across + lean), line[index] + 5.5 * (across + lean)])
    return [tubes_of(ends, HAIR, -0.55)]


def _hair_bands(site: Site, rng: Rng) -> list[Floats]:
    """Two thin lines of atelectasis above the diaphragm or lateral to the hilum."""
    side, anatomy = site.side, site.anatomy
    at_base = site.finding.zone in ("basilar", "lower", "")
    rows = []
    for index in range(2):
        z = (anatomy.top[side] + 12.0 if at_base else anatomy.hila[side][1] - 20.0) + 14.0 * index
        half = site.half_width(z)
        fraction = float(rng.uniform(0.36, 0.48)) + (0.1 if side and at_base else 0.0)
        x = site.middle(z) + site.sign * fraction * half
        far = x + site.sign * min(float(rng.uniform(36, 52)), 0.4 * half)
        rise = float(rng.uniform(-5, 5))
        knots = [(x, -25.0, z), (0.5 * (x + far), -27.0, z + 0.6 * rise), (far, -26.0, z + rise)]
        rows.append(tubes_of(smooth_line(np.array(knots), 20), HAIR, 0.28))
    return rows


def _stripe(site: Site, rng: Rng) -> list[Floats]:
    """A thin layer of fluid at the lateral wall, above the costophrenic angle."""
    low = site.anatomy.sulcus[site.side] + 6.0
    gap = np.linspace(2.4, float(rng.uniform(3.0, 5.0)), 40)
    line = _inside_wall(site, low, low + float(rng.uniform(46, 62)), gap)
    return [tubes_of(line, HAIR, 0.3)]


def _grains(site: Site, rng: Rng) -> list[Floats]:
    """A cluster of nodules of 1 mm."""
    centre = _position(site, rng)
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
