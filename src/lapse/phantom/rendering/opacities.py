"""Airspace findings: consolidation, pneumonia, unspecific opacity, atelectasis.

They differ in density, edge, texture and number. A consolidation is dense, ends at a fissure and
shows air bronchograms; pneumonia is patchy; an opacity is faint; atelectasis consists of bands or
a dense base above the diaphragm, which effects.py elevates.
"""

from __future__ import annotations

import numpy as np

from lapse.phantom.patients.state import Finding
from lapse.phantom.rendering.anatomy import SIGNS, Anatomy
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.lesion_shapes import (
    SOLID,
    LesionBody,
    Lesions,
    lesion_position,
    lesion_rng,
)
from lapse.phantom.rendering.splat import smooth_line, tubes_of


def paint_opacity(
    lesions: Lesions, finding: Finding, severity: float, side: int, anatomy: Anatomy
) -> None:
    """Add a consolidation, a pneumonia or an unspecific opacity."""
    rng = lesion_rng(finding, side)
    position = lesion_position(finding.zone, side, anatomy, rng)
    grow = 0.84 + 0.5 * severity
    shape = rng.uniform(0.85, 1.2, 3)
    turn = float(rng.uniform(-0.5, 0.5))
    centre = anatomy.breathe(position[None])[0]
    small = 0.78 if finding.type == "focal" else 1.0
    size = tuple(float(v) * grow * small for v in shape * (36.0, 40.0, 33.0))
    axes = (size[0], size[1], size[2])
    if finding.name == "consolidation":
        # a lobe has a sharp edge at its fissure: its upper or its lower border
        is_upper = finding.zone in ("upper", "apical")
        tilt = float(rng.uniform(-0.15, 0.15)) + SIGNS[side] * (-0.12 if is_upper else 0.18)
        sign = 1.0 if is_upper else -1.0
        offset = sign * (tilt * centre[0] + centre[2]) - 0.42 * axes[2]
        plane = (sign * tilt, sign, float(offset), 3.0)
        wave, ragged = (0.0, 0.0), 0.12
        if "fissures" in anatomy.patient.details:
            bend = np.random.Generator(np.random.PCG64([abs(finding.seed), side, 1]))
            wave, ragged = (float(bend.uniform(4.0, 8.0)), float(bend.uniform(-2.2, 2.2))), 0.24
            plane = (*plane[:3], float(bend.uniform(8.0, 16.0)))
        mu = SOLID * (0.25 + 0.53 * severity) * (1.15 if finding.type == "dense" else 1.0)
        lesions.add_body(
            LesionBody(
                centre,
                (axes[0] * 1.25, axes[1], axes[2] * 1.3),
                mu,
                side,
                ragged=ragged,
                patchy=0.1,
                power=0.75,
                turn=turn,
                solid=0.9,
                plane=plane,
                wave=wave,
            ),
            rng,
        )
        return
    if finding.name == "pneumonia":
        count = 3 if finding.type == "multifocal" else 1
        for index in range(count):
            displacement = rng.uniform(-1, 1, 3) * (30.0, 22.0, 42.0) if index else np.zeros(3)
            scale = 1.0 if count == 1 else 0.68
            focus = anatomy.breathe((position + displacement)[None])[0]
            focus_axes = (axes[0] * scale, axes[1] * scale, axes[2] * scale)
            mu = SOLID * (0.26 + 0.4 * severity) * (1.0 if count == 1 else 1.1)
            lesions.add_body(
                LesionBody(
                    focus,
                    focus_axes,
                    mu,
                    side,
                    ragged=0.26,
                    patchy=0.24,
                    power=1.15,
                    turn=turn,
                    solid=0.55,
                ),
                rng,
            )
        return
    patchy = 0.6 if finding.type in ("patchy", "multifocal", "") else 0.18
    mu = SOLID * (0.24 + 0.36 * severity) * (0.75 if finding.type == "ground-glass" else 1.0)
    mu *= 1.3 if finding.type == "focal" else 1.0
    lesions.add_body(
        LesionBody(
            centre,
            (axes[0] * 0.95, axes[1], axes[2] * 0.95),
            mu,
            side,
            ragged=0.26,
            patchy=patchy,
            power=1.0,
            turn=turn,
            solid=0.2,
        ),
        rng,
    )


def paint_atelectasis(
    lesions: Lesions, finding: Finding, severity: float, side: int, anatomy: Anatomy
) -> None:
    """Add bands above the diaphragm, a collapsed lobe, or a dense base."""
    rng = lesion_rng(finding, side)
    sign, top = SIGNS[side], anatomy.top[side]
    middle = anatomy.at(Column.MIDDLE, top)
    at_base = finding.zone in ("basilar", "lower", "")
    if finding.type in ("linear", "plate-like"):
        is_plate = finding.type == "plate-like"
        count = (1 if is_plate else 2) + int(severity > 0.35) + int(severity > 0.65)
        for index in range(count):
            fraction = float(rng.uniform(0.34, 0.52)) + (0.12 if side == 1 and at_base else 0.0)
            height = 13.0 + 15.0 * index + float(rng.uniform(0, 7))
            z = top + height if at_base else anatomy.hila[side][1] - 26.0 + 17.0 * index
            half = anatomy.half_width(side, z)
            x0 = middle + sign * fraction * half
            long = (34.0 + 34.0 * severity) * float(rng.uniform(0.8, 1.15))
            x1 = x0 + sign * min(long, 0.9 * half - fraction * half)
            slope = float(rng.uniform(-0.3, 0.12))
            line = np.array(
                [
                    (x0, -25.0, z),
                    (0.5 * (x0 + x1), -28.0, z + 0.5 * slope * long + float(rng.uniform(-2, 2))),
                    (x1, -26.0, z + slope * long),
                ]
            )
            radius = (1.9 if is_plate else 1.3) + (1.6 if is_plate else 1.1) * severity
            radii = radius * np.interp(np.linspace(0, 1, 24), [0, 0.15, 0.85, 1], [0.5, 1, 1, 0.4])
            strength = 0.24 + 0.26 * severity
            lesions.bands.append(tubes_of(smooth_line(line, 24), radii, strength / (2 * radius)))
    elif finding.type == "obstructive" or not at_base:
        lesions.add_body(_collapsed_lobe(finding, severity, side, anatomy, rng), rng)
    else:
        x = middle + sign * (0.5 + (0.07 if side else 0.0)) * anatomy.half_width(side, top)
        centre = np.array([x, -30.0, top + 3.0 + 4.0 * severity])
        density = 1.25 if finding.type == "compressive" else 1.0
        wide, tall = 46.0 + 14.0 * severity, 15.0 + 24.0 * severity
        lesions.add_body(
            LesionBody(
                centre,
                # at 30 mm it is as bright as the spine, at 62 mm brighter
                (wide, 30.0 if "basal atelectasis" in anatomy.patient.details else 62.0, tall),
                SOLID * (0.3 + 0.45 * severity) * density,
                side,
                ragged=0.13,
                patchy=0.12,
                power=0.9,
                turn=sign * 0.18,
                solid=0.4,
            ),
            rng,
        )


def _collapsed_lobe(
    finding: Finding, severity: float, side: int, anatomy: Anatomy, rng: np.random.Generator
) -> LesionBody:
    """A collapsed lobe: a medial wedge with the fissure as a straight edge.

    The lower lobe collapses behind the heart, with an edge from the hilum to inferolateral; the
    upper lobe towards the apex, with an elevated fissure; the middle lobe to a perihilar band.
    """
    sign = SIGNS[side]
    hx, hz = anatomy.hila[side]
    mu = SOLID * (0.3 + 0.5 * severity)
    shift = float(rng.uniform(-3.0, 3.0))
    if finding.zone in ("basilar", "lower", ""):
        top = anatomy.top[side]
        half = anatomy.half_width(side, top)
        foot = anatomy.at(Column.MIDDLE, top) + sign * (0.72 - 0.24 * severity) * half
        steep = (hz - 8.0 - top) / (hx + sign * 4.0 - foot)
        plane = (-sign, sign / steep, sign * (top / steep - foot) + shift, 4.0)  # medial side
        centre = np.array([hx + sign * 6.0, -42.0, top + 10.0])
        axes = (0.62 * half, 60.0, 78.0)
    elif finding.zone in ("upper", "apical"):
        rise = sign * (0.12 + 0.3 * severity)
        height = hz + 12.0 + 16.0 * severity - rise * hx
        plane = (-rise, 1.0, height + shift, 3.0)
        centre = np.array([hx + sign * 18.0, -6.0, anatomy.apex - 26.0])
        axes = (70.0, 62.0, 76.0)
    else:
        plane = (0.0, 1.0, hz - 18.0 - 26.0 * (1.0 - 0.5 * severity) + shift, 3.0)
        centre = np.array([hx + sign * 26.0, 12.0, hz - 26.0])
        axes = (50.0, 52.0, 24.0)
    return LesionBody(
        centre,
        axes,
        mu,
        side,
        ragged=0.1,
        patchy=0.08,
        power=0.8,
        solid=0.3,
        plane=(float(plane[0]), float(plane[1]), float(plane[2]), float(plane[3])),
    )
