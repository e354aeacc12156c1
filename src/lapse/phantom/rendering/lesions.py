"""Localized findings: opacities, bands, nodules, calcifications, fractures, hernias.

The position of a lesion in the lung at full inspiration follows from its seed, side and zone, so a
finding that persists keeps its position. Severity scales its size and density. Airspace findings
are in opacities.py.
"""

from __future__ import annotations

import numpy as np

from lapse.phantom.patients.state import Visit
from lapse.phantom.rendering.anatomy import Anatomy
from lapse.phantom.rendering.fine_findings import cue_tubes, mimic_tubes
from lapse.phantom.rendering.lesion_shapes import SOLID, LesionBody, Lesions, Site, sites_of
from lapse.phantom.rendering.opacities import paint_atelectasis, paint_opacity
from lapse.phantom.rendering.skeleton import rib_line
from lapse.phantom.rendering.splat import tubes_of


def collect_lesions(visit: Visit, anatomy: Anatomy) -> Lesions:
    """The lesions of all localized findings and mimics; unknown findings are ignored."""
    lesions = Lesions()
    for mimic in visit.mimics:
        lesions.dense += mimic_tubes(mimic, anatomy)
    for finding in visit.findings:
        paint = _PAINTERS.get(finding.name)
        for site in sites_of(finding, anatomy):
            if finding.is_fine:
                lesions.dense += cue_tubes(site)
            elif paint is not None:
                paint(lesions, site)
    return lesions


def _kerley(lesions: Lesions, site: Site) -> None:
    """Short lines at the lateral base, and perihilar opacities at high severity."""
    rng, sign, severity, side = site.rng(), site.sign, site.severity, site.side
    is_interstitial = site.finding.type == "interstitial"
    middle = site.middle(-80.0)
    count = round((6 + 12 * severity) * (1.6 if is_interstitial else 1.0))
    for index in range(count):
        z = site.anatomy.top[side] - 14.0 + 62.0 * (index + float(rng.random())) / count
        x = middle + sign * (site.half_width(z) - 2.0)
        line = np.array([(x, -10.0, z), (x - sign * float(rng.uniform(9, 19)), -12.0, z + 2.0)])
        lesions.bands.append(tubes_of(line, 0.45, 0.1 + 0.07 * severity))
    if severity > 0.4 and not is_interstitial:
        hx, hz = site.anatomy.hila[side]
        axes, mu = (34.0, 48.0, 36.0), SOLID * 0.3 * severity
        for dx, dz in ((24.0, 18.0), (28.0, -24.0)):
            centre = np.array([hx + sign * dx, -16.0, hz + dz])
            body = LesionBody(centre, axes, mu, side, ragged=0.26, patchy=0.4, power=1.6, solid=0.2)
            lesions.add_body(body, rng)


def _granuloma(lesions: Lesions, site: Site) -> None:
    rng = site.rng()
    position = site.position(rng)
    for index in range(1 + int(site.severity > 0.45)):
        offset = rng.uniform(-1, 1, 3) * (12.0, 8.0, 12.0) if index else np.zeros(3)
        centre = site.anatomy.breathe((position + offset)[None])[0]
        radius = (3.4 + 3.2 * site.severity) * (1.0 if index == 0 else 0.7)
        fraction = np.linspace(-0.98, 0.98, 12)  # a ball with an irregular rim
        line = centre + fraction[:, None] * np.array([0.3, 1.0, 0.2]) * radius
        radii = radius * np.sqrt(1.0 - fraction**2) * rng.uniform(0.8, 1.0, 12)
        lesions.dense.append(tubes_of(line, radii, 0.055))


def _calcification(lesions: Lesions, site: Site) -> None:
    """Calcium in the wall of the aortic arch."""
    if site.side == 0:
        return  # a midline finding is drawn once
    arch = site.anatomy.hearts[6]
    angle = np.linspace(-1.15, 1.5 + 0.4 * site.severity, 30)
    x = arch[0] + 0.93 * arch[3] * np.cos(angle)
    z = arch[2] + 0.93 * arch[5] * np.sin(angle)
    line = np.stack([x, np.full_like(x, arch[1]), z], axis=1)
    radii = (1.0 + 1.1 * site.severity) * site.rng().uniform(0.55, 1.15, 30)
    lesions.dense.append(tubes_of(line, radii, 0.17))


def _fracture(lesions: Lesions, site: Site) -> None:
    """Displaced fractures of the lateral part of adjacent ribs."""
    rng, severity = site.rng(), site.severity
    zones = {"upper": 3, "apical": 2, "mid": 5, "lower": 7, "basilar": 8}
    first = zones.get(site.finding.zone, 5) + int(rng.integers(0, 2))
    fraction = float(rng.uniform(0.3, 0.4))
    step = 8.0 + 8.0 * severity
    for index in range(2 + int(severity > 0.4)):
        shift = step * (1.0 if rng.random() < 0.7 else -0.8)
        lesions.fractures.append((site.side, first + index, fraction + 0.02 * index, shift))
        line = rib_line(site.anatomy, site.side, first + index)
        middle = round((fraction + 0.02 * index) * (len(line) - 1)) - 2
        callus = line[middle - 3 : middle + 4] + np.array([0.0, 0.0, 0.3 * shift])
        radii = (4.0 + 3.0 * severity) * np.array([0.3, 0.8, 1.0, 1.05, 1.0, 0.8, 0.3])
        lesions.dense.append(tubes_of(callus, radii, 0.014))


def _hernia(lesions: Lesions, site: Site) -> None:
    """Stomach behind the heart, with gas above fluid."""
    if site.side == 0:
        return  # a midline finding is drawn once
    size = 24.0 + 20.0 * site.severity
    x = site.middle(-90.0) + 12.0 + 8.0 * (site.finding.seed % 7) / 7.0
    z = min(site.anatomy.top) + 6.0 + 0.75 * size
    lesions.masses.append([x, -46.0, z, size, 0.85 * size, 0.95 * size, 1.0, 0.0])
    air = [x, -46.0, z + 0.3 * size, 0.72 * size, 0.6 * size, 0.5 * size]
    lesions.gases.append([*air, 1.0, 0.0, 0.0165])


def _hilum(lesions: Lesions, site: Site) -> None:
    """An opacity around the hilum (vessels.py widens the vessels)."""
    hx, hz = site.anatomy.hila[site.side]
    centre = np.array([hx + site.sign * 6.0, -8.0, hz])
    axes = (20.0 + 8.0 * site.severity, 26.0, 27.0 + 8.0 * site.severity)
    mu = SOLID * (0.35 + 0.3 * site.severity)
    body = LesionBody(centre, axes, mu, site.side, patchy=0.3, power=0.9)
    lesions.add_body(body, site.rng())


_PAINTERS = {
    "consolidation": paint_opacity,
    "pneumonia": paint_opacity,
    "lung opacity": paint_opacity,
    "atelectasis": paint_atelectasis,
    "edema": _kerley,
    "granuloma": _granuloma,
    "calcification": _calcification,
    "fracture": _fracture,
    "hernia": _hernia,
    "hilar congestion": _hilum,
}
