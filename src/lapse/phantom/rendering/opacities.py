"""Airspace findings: consolidation, pneumonia, unspecific opacity, atelectasis.

They differ in density, edge, texture and number. A consolidation is dense, ends at a fissure and
shows air bronchograms; pneumonia is patchy; an opacity is faint; atelectasis consists of bands or
a dense base above the diaphragm, which effects.py elevates.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from lapse.phantom.rendering.kernels import Floats
from lapse.phantom.rendering.lesion_shapes import SOLID, LesionBody, Lesions, Site
from lapse.phantom.rendering.splat import smooth_line, tubes_of


def paint_opacity(lesions: Lesions, site: Site) -> None:
    """Add a consolidation, a pneumonia or an unspecific opacity."""
    rng, severity, kind, side = site.rng(), site.severity, site.finding.type, site.side
    position = site.position(rng)
    shape = rng.uniform(0.85, 1.2, 3) * (36.0, 40.0, 33.0)
    axes = shape * (0.84 + 0.5 * severity) * (0.78 if kind == "focal" else 1.0)
    turn = float(rng.uniform(-0.5, 0.5))
    centre = site.anatomy.breathe(position[None])[0]
    body = partial(LesionBody, side=side, ragged=0.26, turn=turn)
    if site.finding.name == "consolidation":
        lesions.add_body(_consolidation(site, centre, axes, turn, rng), rng)
    elif site.finding.name == "pneumonia":
        count, scale, density = (3, 0.68, 1.1) if kind == "multifocal" else (1, 1.0, 1.0)
        mu = SOLID * (0.26 + 0.4 * severity) * density
        for index in range(count):
            displacement = rng.uniform(-1, 1, 3) * (30.0, 22.0, 42.0) if index else np.zeros(3)
            focus = site.anatomy.breathe((position + displacement)[None])[0]
            focal = body(focus, axes * scale, mu, patchy=0.24, power=1.15, solid=0.55)
            lesions.add_body(focal, rng)
    else:
        patchy = 0.6 if kind in ("patchy", "multifocal", "") else 0.18
        mu = SOLID * (0.24 + 0.36 * severity) * (0.75 if kind == "ground-glass" else 1.0)
        mu *= 1.3 if kind == "focal" else 1.0
        axes *= (0.95, 1.0, 0.95)
        lesions.add_body(body(centre, axes, mu, patchy=patchy, power=1.0, solid=0.2), rng)


def _consolidation(
    site: Site, centre: Floats, axes: Floats, turn: float, rng: np.random.Generator
) -> LesionBody:
    """A lobe with a sharp edge at its fissure: its upper or its lower border."""
    is_upper = site.finding.zone in ("upper", "apical")
    tilt = float(rng.uniform(-0.15, 0.15)) + site.sign * (-0.12 if is_upper else 0.18)
    sign = 1.0 if is_upper else -1.0
    offset = sign * (tilt * centre[0] + centre[2]) - 0.42 * axes[2]
    soft, wave, ragged = 3.0, (0.0, 0.0), 0.12
    if "fissures" in site.anatomy.patient.details:
        bend = site.rng(1)
        wave, ragged = (float(bend.uniform(4.0, 8.0)), float(bend.uniform(-2.2, 2.2))), 0.24
        soft = float(bend.uniform(8.0, 16.0))
    return LesionBody(
        centre,
        axes * (1.25, 1.0, 1.3),
        SOLID * (0.25 + 0.53 * site.severity) * (1.15 if site.finding.type == "dense" else 1.0),
        site.side,
        ragged=ragged,
        patchy=0.1,
        power=0.75,
        turn=turn,
        solid=0.9,
        plane=(sign * tilt, sign, float(offset), soft),
        wave=wave,
    )


def paint_atelectasis(lesions: Lesions, site: Site) -> None:
    """Add bands, a collapsed middle lobe, or a dense base."""
    if site.finding.type in ("linear", "plate-like"):
        _paint_bands(lesions, site)
        return
    rng = site.rng()
    body = _dense_base(site) if _is_at_base(site) else _collapsed_lobe(site, rng)
    lesions.add_body(body, rng)


def _is_at_base(site: Site) -> bool:
    return site.finding.zone in ("basilar", "lower", "")


def _paint_bands(lesions: Lesions, site: Site) -> None:
    """Bands above the diaphragm, or lateral to the hilum."""
    rng, severity, sign, side = site.rng(), site.severity, site.sign, site.side
    top, at_base = site.anatomy.top[side], _is_at_base(site)
    middle = site.middle(top)
    is_plate = site.finding.type == "plate-like"
    count = (1 if is_plate else 2) + int(severity > 0.35) + int(severity > 0.65)
    for index in range(count):
        fraction = float(rng.uniform(0.34, 0.52)) + (0.12 if side == 1 and at_base else 0.0)
        height = 13.0 + 15.0 * index + float(rng.uniform(0, 7))
        z = top + height if at_base else site.anatomy.hila[side][1] - 26.0 + 17.0 * index
        half = site.half_width(z)
        x0 = middle + sign * fraction * half
        long = (34.0 + 34.0 * severity) * float(rng.uniform(0.8, 1.15))
        x1 = x0 + sign * min(long, 0.9 * half - fraction * half)
        slope = float(rng.uniform(-0.3, 0.12))
        bend = z + 0.5 * slope * long + float(rng.uniform(-2, 2))
        line = [(x0, -25.0, z), (0.5 * (x0 + x1), -28.0, bend), (x1, -26.0, z + slope * long)]
        radius = (1.9 if is_plate else 1.3) + (1.6 if is_plate else 1.1) * severity
        radii = radius * np.interp(np.linspace(0, 1, 24), [0, 0.15, 0.85, 1], [0.5, 1, 1, 0.4])
        mu = (0.24 + 0.26 * severity) / (2 * radius)
        lesions.bands.append(tubes_of(smooth_line(np.array(line), 24), radii, mu))


def _dense_base(site: Site) -> LesionBody:
    severity, top = site.severity, site.anatomy.top[site.side]
    x = site.middle(top) + site.sign * (0.5 + (0.07 if site.side else 0.0)) * site.half_width(top)
    # at 30 mm it is as bright as the spine, at 62 mm brighter
    deep = 30.0 if "basal atelectasis" in site.anatomy.patient.details else 62.0
    return LesionBody(
        np.array([x, -30.0, top + 3.0 + 4.0 * severity]),
        (46.0 + 14.0 * severity, deep, 15.0 + 24.0 * severity),
        SOLID * (0.3 + 0.45 * severity) * (1.25 if site.finding.type == "compressive" else 1.0),
        site.side,
        ragged=0.13,
        patchy=0.12,
        power=0.9,
        turn=site.sign * 0.18,
        solid=0.4,
    )


def _collapsed_lobe(site: Site, rng: np.random.Generator) -> LesionBody:
    """A collapsed middle lobe: a perihilar band with the fissure as a straight upper edge."""
    hx, hz = site.anatomy.hila[site.side]
    shift = float(rng.uniform(-3.0, 3.0))
    return LesionBody(
        np.array([hx + site.sign * 26.0, 12.0, hz - 26.0]),
        (50.0, 52.0, 24.0),
        SOLID * (0.3 + 0.5 * site.severity),
        site.side,
        ragged=0.1,
        patchy=0.08,
        power=0.8,
        solid=0.3,
        plane=(0.0, 1.0, hz - 18.0 - 26.0 * (1.0 - 0.5 * site.severity) + shift, 3.0),
    )
