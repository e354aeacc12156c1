"""Abnormal air and blood: pneumomediastinum, subcutaneous emphysema, extrapleural hematoma."""

from __future__ import annotations

import numpy as np

from lapse.phantom.patients.state import Finding
from lapse.phantom.rendering.anatomy import SIGNS, Anatomy
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.lesion_shapes import Lesions, lesion_position, lesion_rng
from lapse.phantom.rendering.splat import smooth_line, tubes_of

MU_LEAK = -0.019  # per mm, air in place of soft tissue


def paint_pneumomediastinum(
    lesions: Lesions, finding: Finding, severity: float, side: int, anatomy: Anatomy
) -> None:
    """Dark streaks along the mediastinum up to the neck, bounded by the displaced pleura."""
    rng = lesion_rng(finding, side)
    sign = SIGNS[side]
    heights = np.linspace(88.0, -58.0, 36)
    edge = Column(Column.MEDIASTINUM_R + side)
    x = np.array([anatomy.at(Column.MIDDLE, z) + sign * anatomy.at(edge, z) for z in heights])
    for solid in anatomy.hearts[:8]:  # lateral to the heart and the arch
        reach = np.hypot(solid[6] * solid[3], solid[7] * solid[5])
        tall = np.hypot(solid[7] * solid[3], solid[6] * solid[5])
        fraction = np.clip(1.0 - ((heights - solid[2]) / tall) ** 2, 0.0, 1.0)
        lean = -solid[7] * solid[6] * (solid[3] ** 2 - solid[5] ** 2) / tall**2
        border = solid[0] + lean * (heights - solid[2]) + sign * reach * np.sqrt(fraction)
        lateral = np.where(fraction > 0, sign * border, -1e9)
        x = sign * np.maximum(sign * x, lateral)
    gap = (0.9 + 1.7 * severity) * (1.0 + 0.25 * np.sin(heights / 11.0 + rng.uniform(0, 6)))
    y = np.full_like(x, 6.0)
    air = np.stack([x + sign * 0.4 * gap, y, heights], axis=1)
    pleura = np.stack([x + sign * (1.4 * gap + 0.8), y, heights], axis=1)
    lesions.dense.append(tubes_of(air, gap, 4.0 * MU_LEAK))
    lesions.dense.append(tubes_of(pleura, 0.55, 0.12))
    for _ in range(2 + round(4 * severity)):
        near = float(rng.uniform(4, 26))
        knots = [
            (anatomy.at(Column.MIDDLE, 60) + sign * near, 2.0, 52.0),
            (anatomy.at(Column.MIDDLE, 100) + sign * (near + rng.uniform(-4, 8)), -2.0, 104.0),
            (anatomy.at(Column.MIDDLE, 150) + sign * (near + rng.uniform(0, 20)), -6.0, 158.0),
        ]
        size = float(rng.uniform(0.9, 1.6)) * (1.0 + severity)
        lesions.dense.append(tubes_of(smooth_line(np.array(knots), 24), size, 1.6 * MU_LEAK))


def paint_air_collection(
    lesions: Lesions, finding: Finding, severity: float, side: int, anatomy: Anatomy
) -> None:
    """Air between the fibres of the chest wall muscles: a fan of dark streaks outside the ribs."""
    rng = lesion_rng(finding, side)
    sign, wide = SIGNS[side], anatomy.patient.width
    arm = np.array([sign * 158.0 * wide, 30.0, 66.0])
    for _ in range(round(16 + 44 * severity)):
        fraction = float(rng.uniform(0.0, 1.0))
        end_z = 52.0 - 150.0 * fraction
        end = np.array([sign * (150.0 - 60.0 * float(rng.random())) * wide, 62.0, end_z])
        if rng.random() < 0.5:  # along the lateral chest wall
            x = anatomy.at(Column.MIDDLE, end_z) + sign * (
                anatomy.half_width(side, end_z) + float(rng.uniform(9, 26))
            )
            end = np.array([x, 0.0, end_z])
        start = arm + (end - arm) * float(rng.uniform(0.2, 0.6))
        bow = 0.5 * (start + end) + rng.normal(0, 4.0, 3)
        line = smooth_line(np.stack([start, bow, end]), 14)
        size = float(rng.uniform(0.7, 2.0)) * (0.7 + 0.6 * severity)
        radii = size * np.interp(np.linspace(0, 1, 14), [0, 0.3, 0.7, 1], [0.3, 1, 1, 0.3])
        lesions.dense.append(tubes_of(line, radii, 3.0 * MU_LEAK))


def paint_hematoma(
    lesions: Lesions, finding: Finding, severity: float, side: int, anatomy: Anatomy
) -> None:
    """A smooth lens-shaped collection of blood between ribs and lung."""
    rng = lesion_rng(finding, side)
    z = anatomy.breathe(lesion_position(finding.zone, side, anatomy, rng)[None])[0][2]
    x = anatomy.at(Column.MIDDLE, z) + SIGNS[side] * (anatomy.half_width(side, z) - 4.0)
    axes = (11.0 + 17.0 * severity, 34.0 + 20.0 * severity, 24.0 + 26.0 * severity)
    lesions.masses.append([x, -8.0, float(z), *axes, 1.0, 0.0])
