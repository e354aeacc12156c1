"""Airspace findings: consolidation, pneumonia, unspecific opacity, atelectasis.

They differ in density, edge, grain and number: a consolidation is dense, ends at a fissure and
shows its airways; pneumonia is patchy; an opacity is faint; atelectasis lies on the raised
diaphragm (effects.py lifts it) as bands or as a dense base.
"""

from __future__ import annotations

import numpy as np

from lapse.phantom.patients.state import Finding
from lapse.phantom.rendering.anatomy import SIGNS, Anatomy
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.lesion_shapes import (
    SOLID,
    Lesions,
    lesion_body,
    lesion_spot,
    lesion_stream,
)
from lapse.phantom.rendering.splat import smooth_line, tubes_of


def paint_opacity(
    lesions: Lesions, finding: Finding, severity: float, side: int, anatomy: Anatomy
) -> None:
    """Consolidation, pneumonia and unspecific opacity differ in density, edge and number."""
    draw = lesion_stream(finding, side)
    spot = lesion_spot(finding, side, anatomy, draw)
    grow = 0.84 + 0.5 * severity
    shape = draw.uniform(0.85, 1.2, 3)
    turn = float(draw.uniform(-0.5, 0.5))
    centre = anatomy.breathe(spot[None])[0]
    small = 0.78 if finding.type == "focal" else 1.0
    size = tuple(float(v) * grow * small for v in shape * (36.0, 40.0, 33.0))
    axes = (size[0], size[1], size[2])
    if finding.name == "consolidation":
        # a lobe ends sharply at its fissure: above the lower lobes, below the upper ones
        above = finding.zone in ("upper", "apical")
        tilt = float(draw.uniform(-0.15, 0.15)) + SIGNS[side] * (-0.12 if above else 0.18)
        way = 1.0 if above else -1.0
        at = way * (tilt * centre[0] + centre[2]) - 0.42 * axes[2]
        plane = (way * tilt, way, float(at), 3.0)
        mu = SOLID * (0.25 + 0.53 * severity) * (1.15 if finding.type == "dense" else 1.0)
        lesions.bodies.append(
            lesion_body(
                centre,
                (axes[0] * 1.25, axes[1], axes[2] * 1.3),
                mu,
                draw,
                side=side,
                ragged=0.12,
                patchy=0.1,
                power=0.75,
                turn=turn,
                solid=0.9,
                plane=plane,
            )
        )
        return
    if finding.name == "pneumonia":
        count = 3 if finding.type == "multifocal" else 1
        for index in range(count):
            move = draw.uniform(-1, 1, 3) * (30.0, 22.0, 42.0) if index else np.zeros(3)
            part = 1.0 if count == 1 else 0.68
            near = anatomy.breathe((spot + move)[None])[0]
            body = (axes[0] * part, axes[1] * part, axes[2] * part)
            mu = SOLID * (0.26 + 0.4 * severity) * (1.0 if count == 1 else 1.1)
            lesions.bodies.append(
                lesion_body(
                    near,
                    body,
                    mu,
                    draw,
                    side=side,
                    ragged=0.26,
                    patchy=0.24,
                    power=1.15,
                    turn=turn,
                    solid=0.55,
                )
            )
        return
    patchy = 0.6 if finding.type in ("patchy", "multifocal", "") else 0.18
    mu = SOLID * (0.24 + 0.36 * severity) * (0.75 if finding.type == "ground-glass" else 1.0)
    mu *= 1.3 if finding.type == "focal" else 1.0
    lesions.bodies.append(
        lesion_body(
            centre,
            (axes[0] * 0.95, axes[1], axes[2] * 0.95),
            mu,
            draw,
            side=side,
            ragged=0.26,
            patchy=patchy,
            power=1.0,
            turn=turn,
            solid=0.2,
        )
    )


def paint_atelectasis(
    lesions: Lesions, finding: Finding, severity: float, side: int, anatomy: Anatomy
) -> None:
    """Bands above the diaphragm, or a dense base with loss of volume (effects.py lifts it)."""
    draw = lesion_stream(finding, side)
    sign, top = SIGNS[side], anatomy.top[side]
    middle = anatomy.at(Column.MIDDLE, top)
    at_base = finding.zone in ("basilar", "lower", "")
    if finding.type in ("linear", "plate-like"):
        plate = finding.type == "plate-like"
        count = (1 if plate else 2) + int(severity > 0.35) + int(severity > 0.65)
        for index in range(count):
            share = float(draw.uniform(0.34, 0.52)) + (0.12 if side == 1 and at_base else 0.0)
            height = 13.0 + 15.0 * index + float(draw.uniform(0, 7))
            z = top + height if at_base else anatomy.hila[side][1] - 26.0 + 17.0 * index
            half = anatomy.half_width(side, z)
            x0 = middle + sign * share * half
            long = (34.0 + 34.0 * severity) * float(draw.uniform(0.8, 1.15))
            x1 = x0 + sign * min(long, 0.9 * half - share * half)
            slope = float(draw.uniform(-0.3, 0.12))
            line = np.array(
                [
                    (x0, -25.0, z),
                    (0.5 * (x0 + x1), -28.0, z + 0.5 * slope * long + float(draw.uniform(-2, 2))),
                    (x1, -26.0, z + slope * long),
                ]
            )
            radius = (1.9 if plate else 1.3) + (1.6 if plate else 1.1) * severity
            radii = radius * np.interp(np.linspace(0, 1, 24), [0, 0.15, 0.85, 1], [0.5, 1, 1, 0.4])
            strength = 0.24 + 0.26 * severity
            lesions.bands.append(tubes_of(smooth_line(line, 24), radii, strength / (2 * radius)))
    elif finding.type == "obstructive" or not at_base:
        lesions.bodies.append(_collapsed_lobe(finding, severity, side, anatomy, draw))
    else:
        x = middle + sign * (0.5 + (0.07 if side else 0.0)) * anatomy.half_width(side, top)
        centre = np.array([x, -30.0, top + 3.0 + 4.0 * severity])
        dense = 1.25 if finding.type == "compressive" else 1.0
        wide, tall = 46.0 + 14.0 * severity, 15.0 + 24.0 * severity
        lesions.bodies.append(
            lesion_body(
                centre,
                (wide, 62.0, tall),
                SOLID * (0.3 + 0.45 * severity) * dense,
                draw,
                side=side,
                ragged=0.13,
                patchy=0.12,
                power=0.9,
                turn=sign * 0.18,
                solid=0.4,
            )
        )


def _collapsed_lobe(
    finding: Finding, severity: float, side: int, anatomy: Anatomy, draw: np.random.Generator
) -> list[float]:
    """A lobe that lost its air: a wedge beside the midline, its fissure a straight edge.

    The lower lobe falls behind the heart, its edge running from the hilum down and outwards; the
    upper lobe shrinks to the apex, the fissure raised; between, a band beside the hilum.
    """
    sign = SIGNS[side]
    hx, hz = anatomy.hila[side]
    mu = SOLID * (0.3 + 0.5 * severity)
    shift = float(draw.uniform(-3.0, 3.0))
    if finding.zone in ("basilar", "lower", ""):
        top = anatomy.top[side]
        half = anatomy.half_width(side, top)
        foot = anatomy.at(Column.MIDDLE, top) + sign * (0.72 - 0.24 * severity) * half
        steep = (hz - 8.0 - top) / (hx + sign * 4.0 - foot)
        plane = (
            -sign,
            sign / steep,
            sign * (top / steep - foot) + shift,
            4.0,
        )  # towards the middle
        centre = np.array([hx + sign * 6.0, -42.0, top + 10.0])
        axes = (0.62 * half, 60.0, 78.0)
    elif finding.zone in ("upper", "apical"):
        rise = sign * (0.12 + 0.3 * severity)
        at = hz + 12.0 + 16.0 * severity - rise * hx
        plane = (-rise, 1.0, at + shift, 3.0)
        centre = np.array([hx + sign * 18.0, -6.0, anatomy.apex - 26.0])
        axes = (70.0, 62.0, 76.0)
    else:
        plane = (0.0, 1.0, hz - 18.0 - 26.0 * (1.0 - 0.5 * severity) + shift, 3.0)
        centre = np.array([hx + sign * 26.0, 12.0, hz - 26.0])
        axes = (50.0, 52.0, 24.0)
    return lesion_body(
        centre,
        axes,
        mu,
        draw,
        side=side,
        ragged=0.1,
        patchy=0.08,
        power=0.8,
        solid=0.3,
        plane=(float(plane[0]), float(plane[1]), float(plane[2]), float(plane[3])),
    )
