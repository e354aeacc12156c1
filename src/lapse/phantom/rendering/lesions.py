"""Localized findings: opacities, bands, nodules, calcifications, fractures, hernias.

The position of a lesion in the lung at full inspiration follows from its seed, side and zone, so a
finding that persists keeps its position. Severity scales its size and density. Airspace findings
are in opacities.py.
"""

from __future__ import annotations

import numpy as np

from lapse.phantom.patients.state import Finding, Visit
from lapse.phantom.rendering.air_leaks import (
    paint_air_collection,
    paint_hematoma,
    paint_pneumomediastinum,
)
from lapse.phantom.rendering.anatomy import SIGNS, Anatomy
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.effects import side_indices
from lapse.phantom.rendering.fine_findings import add_fine, add_mimic
from lapse.phantom.rendering.lesion_shapes import (
    SOLID,
    LesionBody,
    Lesions,
    lesion_position,
    lesion_rng,
)
from lapse.phantom.rendering.opacities import paint_atelectasis, paint_opacity
from lapse.phantom.rendering.skeleton import rib_line
from lapse.phantom.rendering.splat import tubes_of


def collect_lesions(visit: Visit, anatomy: Anatomy) -> Lesions:
    """The lesions of all localized findings and mimics; unknown findings are ignored."""
    lesions = Lesions()
    painters = {
        "consolidation": paint_opacity,
        "pneumonia": paint_opacity,
        "lung opacity": paint_opacity,
        "contusion": paint_opacity,
        "atelectasis": paint_atelectasis,
        "edema": _kerley,
        "granuloma": _granuloma,
        "calcification": _calcification,
        "fracture": _fracture,
        "hernia": _hernia,
        "hilar congestion": _hilum,
        "thymoma": _thymoma,
        "pneumomediastinum": paint_pneumomediastinum,
        "air collection": paint_air_collection,
        "hematoma": paint_hematoma,
    }
    for mimic in visit.mimics:
        add_mimic(lesions, mimic, anatomy)
    for finding in visit.findings:
        if finding.is_fine:
            add_fine(lesions, finding, anatomy)
            continue
        paint = painters.get(finding.name)
        if paint is not None:
            severity = min(1.0, max(0.0, finding.severity))
            for side in side_indices(finding.side):
                paint(lesions, finding, severity, side, anatomy)
    return lesions


def _kerley(
    lesions: Lesions, finding: Finding, severity: float, side: int, anatomy: Anatomy
) -> None:
    """Short lines at the lateral base, and perihilar opacities at high severity."""
    rng = lesion_rng(finding, side)
    sign = SIGNS[side]
    middle = anatomy.at(Column.MIDDLE, -80.0)
    count = round((6 + 12 * severity) * (1.6 if finding.type == "interstitial" else 1.0))
    for index in range(count):
        z = anatomy.top[side] - 14.0 + 62.0 * (index + float(rng.random())) / count
        wall = anatomy.half_width(side, z)
        x = middle + sign * (wall - 2.0)
        line = np.array([(x, -10.0, z), (x - sign * float(rng.uniform(9, 19)), -12.0, z + 2.0)])
        lesions.bands.append(tubes_of(line, 0.45, 0.1 + 0.07 * severity))
    if severity > 0.4 and finding.type != "interstitial":
        hx, hz = anatomy.hila[side]
        for dx, dz in ((24.0, 18.0), (28.0, -24.0)):
            centre = np.array([hx + sign * dx, -16.0, hz + dz])
            lesions.add_body(
                LesionBody(
                    centre,
                    (34.0, 48.0, 36.0),
                    SOLID * 0.3 * severity,
                    side,
                    ragged=0.26,
                    patchy=0.4,
                    power=1.6,
                    solid=0.2,
                ),
                rng,
            )


def _granuloma(
    lesions: Lesions, finding: Finding, severity: float, side: int, anatomy: Anatomy
) -> None:
    rng = lesion_rng(finding, side)
    position = lesion_position(finding.zone, side, anatomy, rng)
    for index in range(1 + int(severity > 0.45)):
        offset = rng.uniform(-1, 1, 3) * (12.0, 8.0, 12.0) if index else np.zeros(3)
        centre = anatomy.breathe((position + offset)[None])[0]
        radius = (3.4 + 3.2 * severity) * (1.0 if index == 0 else 0.7)
        fraction = np.linspace(-0.98, 0.98, 12)  # a ball with an irregular rim
        line = centre + fraction[:, None] * np.array([0.3, 1.0, 0.2]) * radius
        radii = radius * np.sqrt(1.0 - fraction**2) * rng.uniform(0.8, 1.0, 12)
        lesions.dense.append(tubes_of(line, radii, 0.055))


def _calcification(
    lesions: Lesions, finding: Finding, severity: float, side: int, anatomy: Anatomy
) -> None:
    """Calcium in the wall of the aortic arch."""
    if side == 0 and finding.side != "right":
        return  # a midline finding is drawn once
    arch = anatomy.hearts[6]
    angle = np.linspace(-1.15, 1.5 + 0.4 * severity, 30)
    x = arch[0] + 0.93 * arch[3] * np.cos(angle)
    z = arch[2] + 0.93 * arch[5] * np.sin(angle)
    line = np.stack([x, np.full_like(x, arch[1]), z], axis=1)
    rng = lesion_rng(finding, side)
    radii = (1.0 + 1.1 * severity) * rng.uniform(0.55, 1.15, 30)
    lesions.dense.append(tubes_of(line, radii, 0.17))


def _fracture(
    lesions: Lesions, finding: Finding, severity: float, side: int, anatomy: Anatomy
) -> None:
    """Displaced fractures of the lateral part of adjacent ribs."""
    rng = lesion_rng(finding, side)
    first = {"upper": 3, "apical": 2, "mid": 5, "lower": 7, "basilar": 8}.get(finding.zone, 5)
    first += int(rng.integers(0, 2))
    fraction = float(rng.uniform(0.3, 0.4))
    step = 8.0 + 8.0 * severity
    for index in range(2 + int(severity > 0.4)):
        shift = step * (1.0 if rng.random() < 0.7 else -0.8)
        lesions.fractures.append((side, first + index, fraction + 0.02 * index, shift))
        line = rib_line(anatomy, side, first + index)
        middle = round((fraction + 0.02 * index) * (len(line) - 1)) - 2
        callus = line[middle - 3 : middle + 4] + np.array([0.0, 0.0, 0.3 * shift])
        radii = (4.0 + 3.0 * severity) * np.array([0.3, 0.8, 1.0, 1.05, 1.0, 0.8, 0.3])
        lesions.dense.append(tubes_of(callus, radii, 0.014))


def _hernia(
    lesions: Lesions, finding: Finding, severity: float, side: int, anatomy: Anatomy
) -> None:
    """Stomach behind the heart, with gas above fluid."""
    if side == 0:
        return
    size = 24.0 + 20.0 * severity
    x = anatomy.at(Column.MIDDLE, -90.0) + 12.0 + 8.0 * (finding.seed % 7) / 7.0
    z = min(anatomy.top) + 6.0 + 0.75 * size
    lesions.masses.append([x, -46.0, z, size, 0.85 * size, 0.95 * size, 1.0, 0.0])
    air = [x, -46.0, z + 0.3 * size, 0.72 * size, 0.6 * size, 0.5 * size]
    lesions.gases.append([*air, 1.0, 0.0, 0.0165])


def _hilum(
    lesions: Lesions, finding: Finding, severity: float, side: int, anatomy: Anatomy
) -> None:
    """An opacity around the hilum (vessels.py widens the vessels)."""
    hx, hz = anatomy.hila[side]
    centre = np.array([hx + SIGNS[side] * 6.0, -8.0, hz])
    axes = (20.0 + 8.0 * severity, 26.0, 27.0 + 8.0 * severity)
    mu = SOLID * (0.35 + 0.3 * severity)
    rng = lesion_rng(finding, side)
    lesions.add_body(LesionBody(centre, axes, mu, side, patchy=0.3, power=0.9), rng)


def _thymoma(
    lesions: Lesions, finding: Finding, severity: float, side: int, anatomy: Anatomy
) -> None:
    if side == 0 and finding.side != "right":
        return
    x = anatomy.at(Column.MIDDLE, 20.0) + SIGNS[side] * 31.0
    size = 18.0 + 22.0 * severity
    lesions.masses.append([x, 40.0, 6.0, size, 0.8 * size, 1.1 * size, 1.0, 0.0])
