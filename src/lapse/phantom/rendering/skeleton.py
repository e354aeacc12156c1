"""Bones: 24 ribs, clavicles, scapulae, arms, vertebrae and sternum, as tubes and blocks.

A rib follows the superellipse of the cavity from its vertebra. Its height decreases to anterior and
lateral, so each rib is in an inclined plane, and the projections of the posterior and anterior
parts cross as on radiographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import radians

import numpy as np

from lapse.phantom.patients.acquisition import Acquisition
from lapse.phantom.rendering.anatomy import GRID, SIGNS, Anatomy
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.kernels import Floats
from lapse.phantom.rendering.splat import smooth_line, tubes_of

CORTEX = 0.057  # per mm, in addition to soft tissue
MARROW = 0.0055
# anterior end of each rib, in degrees around the chest from the spine
_ENDS = (142, 134, 131, 129, 127, 124, 120, 112, 104, 96, 72, 42)
_STRETCH = (0.93, 0.99) + (1.0,) * 8 + (0.97, 0.9)


def vertebra_height(anatomy: Anatomy, number: float) -> float:
    """Height of the centre of thoracic vertebra `number` (1 .. 12; below 1 cervical)."""
    size = anatomy.patient.height
    return size * (84.0 - 20.0 * (number - 1) - 0.38 * max(number - 1, 0.0) ** 2)


def rib_line(anatomy: Anatomy, side: int, number: int) -> Floats:
    """Points on the axis of a rib, from the spine to its anterior end. # [n, 3]"""
    patient, table = anatomy.patient, anatomy.table
    sign = SIGNS[side]
    expired = 1.0 - anatomy.breath
    head = vertebra_height(anatomy, number) + 8.0
    slope = patient.rib_slope * (0.9 + 0.35 * expired) * (1.0 - 0.3 * anatomy.effects.flat)
    drop = patient.rib_drop + 0.08 * expired + 0.012 * number
    angle = np.radians(np.linspace(16.0, _ENDS[number - 1], 34))
    across = np.abs(np.sin(angle)) ** 0.86
    along = -np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.86
    height = np.full_like(angle, head - 25.0)
    for _ in range(3):  # fixed point: the size of the ring depends on its height, and vice versa
        width = np.interp(height, GRID, table[:, Column.CAVITY_R + side]) + 3.5
        deep = np.interp(height, GRID, table[:, Column.CAVITY_D]) + 3.5
        least = (46.0, 70.0)[number - 1] if number <= 2 else 0.0
        width = np.maximum(width, least * patient.width)
        deep = np.maximum(deep, 0.72 * least * patient.depth)
        y = np.interp(height, GRID, table[:, Column.CAVITY_Y]) + deep * along
        x = width * across * _STRETCH[number - 1]
        back = np.interp(head, GRID, table[:, Column.CAVITY_Y]) - deep[0]
        height = head - slope * (y - back) - drop * x
    middle = np.interp(height, GRID, table[:, Column.MIDDLE])
    spine = anatomy.at(Column.SPINE_X, head)
    ring = np.stack([middle + sign * x, y, height], axis=1)
    ring[:, 0] += (spine - middle) * np.clip(1.0 - x / 90.0, 0.0, 1.0)
    start = np.array([[spine + sign * 17.0, -60.0, head], [spine + sign * 27.0, -68.0, head + 1]])
    points = smooth_line(np.vstack([start, ring[1:]]), 64)
    wave = np.sin(np.linspace(0, 7.0, 64) + number + (patient.bone_seed >> number) % 5)
    points[:, 2] += 0.9 * wave
    return points


def rib_tubes(points: Floats, anatomy: Anatomy, number: int) -> Floats:
    """The tubes of a rib along its axis; the density decreases towards anterior."""
    fraction = np.linspace(0.0, 1.0, len(points))
    radius = np.interp(fraction, [0, 0.1, 0.35, 0.6, 0.9, 1.0], [4.2, 5.3, 5.9, 5.6, 6.4, 6.8])
    size = anatomy.patient.rib_size * (1.0, 1.05)[number == 1] * (0.8 if number > 10 else 1.0)
    density = anatomy.patient.bone
    tubes = tubes_of(
        points, radius * size, CORTEX * density, wall=0.75 * density, inside=MARROW * density
    )
    fade = np.interp(fraction[:-1], [0.0, 0.5, 0.85, 1.0], [1.0, 0.9, 0.7, 0.35])
    fade *= 0.6 if number > 9 else 1.0
    tubes[:, 8] *= fade
    tubes[:, 10] *= fade
    return tubes


def clavicle_line(anatomy: Anatomy, side: int, acquisition: Acquisition) -> Floats:
    """Points on the axis of a clavicle, from the sternum to lateral. # [n, 3]"""
    patient, sign = anatomy.patient, SIGNS[side]
    lift = patient.clavicle + (10.0 if acquisition.view == "AP" else 0.0)
    z = 58.0 * patient.height
    wide = patient.width
    knots = [
        (15.0, 66.0, z),
        (45.0 * wide, 70.0, z + 4 + 0.16 * lift),
        (92.0 * wide, 38.0, z + 8 + 0.6 * lift),
        (128.0 * wide, 2.0, z + 6 + 0.95 * lift),
        (160.0 * wide, 2.0, z + lift),
    ]
    points = np.array([(sign * x, y, height) for x, y, height in knots])
    points[:, 0] += anatomy.at(Column.MIDDLE, z) - anatomy.at(Column.SHIFT, z)
    return smooth_line(points, 30)


def bone_tubes(anatomy: Anatomy, acquisition: Acquisition) -> Floats:
    """Clavicles, scapulae and arms."""
    patient = anatomy.patient
    density = patient.bone
    rows: list[Floats] = []
    out = -4.0 if acquisition.view == "AP" else 17.0  # PA: arms forward rotate the scapulae out
    near = 0.0  # of the arms
    firm = density * (1.7 if "scapulae and arms" in patient.details else 1.0)
    if acquisition.portable is not None:
        out -= acquisition.portable.scapulae
        near = acquisition.portable.arms
    wide = patient.width
    for side in (0, 1):
        sign = SIGNS[side]
        line = clavicle_line(anatomy, side, acquisition)
        radius = np.interp(np.linspace(0, 1, 30), [0, 0.12, 0.5, 1], [8.2, 6.4, 5.2, 6.4])
        rows.append(
            tubes_of(line, radius, CORTEX * density, wall=1.3 * density, inside=MARROW * density)
        )
        # scapula: medial border, lateral border, spine, and a thin plate between them
        medial = [(110 + out, -92, 86), (107 + out, -97, 30), (116 + out, -97, -42)]
        lateral = [(160 + out, -62, 56), (146 + out, -80, 8), (116 + out, -97, -42)]
        spine = [(106 + out, -97, 56), (136 + out, -84, 74), (168 + 0.3 * out, -34, 98)]
        plate = [(136 + out, -78, 58), (127 + out, -90, 14), (117 + out, -96, -34)]
        for knots, size, mu, wall in (
            (medial, 2.2, 0.019, 0.0),
            (lateral, 4.2, 0.022, 1.4),
            (spine, 4.6, 0.018, 1.5),
        ):
            tubes = tubes_of(_line(knots, sign, wide, 24), size, mu * firm, wall=wall)
            tubes[:, 10] = 0.003 * firm
            rows.append(tubes)
        radii = np.linspace(22.0, 5.0, 16)
        rows.append(tubes_of(_line(plate, sign, wide, 16), radii, 0.0011 * firm))
        arm = [(177, -14, 84), (183, -14, 66), (196, -12, 20), (212, -10, -70)]
        points = np.array([(sign * (x * wide - near), y, z) for x, y, z in arm])
        radii = np.interp(np.linspace(0, 1, 30), [0, 0.1, 0.25, 1], [19, 22, 12.5, 10.5])
        rows.append(tubes_of(smooth_line(points, 30), radii, 0.03 * firm, wall=2.2, inside=0.004))
    return np.vstack(rows)


def _line(knots: Sequence[tuple[float, float, float]], sign: float, wide: float, n: int) -> Floats:
    """A line of one side through knots of an average patient. # [n, 3]"""
    return smooth_line(np.array([(sign * x * wide, y, z) for x, y, z in knots]), n)


def spine_bones(anatomy: Anatomy) -> tuple[Floats, Floats]:
    """Blocks of the vertebrae and the sternum, and tubes of the pedicles and processes."""
    patient = anatomy.patient
    density = patient.bone
    blocks: list[list[float]] = []
    tubes: list[Floats] = []
    for number in range(-4, 16):
        z = vertebra_height(anatomy, number)
        gap = vertebra_height(anatomy, number - 0.5) - vertebra_height(anatomy, number + 0.5)
        x = anatomy.at(Column.SPINE_X, z)
        lean = np.arctan(
            (anatomy.at(Column.SPINE_X, z + 12) - anatomy.at(Column.SPINE_X, z - 12)) / 24.0
        )
        wide = (15.5 + 0.62 * max(number, 0)) * patient.width
        tall = 0.5 * gap - 2.1
        mineral = density * (1.0 if number > 0 else 0.55)  # cervical vertebrae are smaller
        body = [x, -56.0, z, wide, tall, float(lean), 0.05 * mineral, 0.06 * mineral**2]
        inner = [x, -56.0, z, wide * 0.86, tall + 0.6, float(lean), 0.02, 0.03 * mineral**2]
        blocks += [body, inner]
        if number < -2:
            continue
        for sign in SIGNS:  # transverse processes and pedicles
            if number < 1:
                break
            root = (x + sign * 0.66 * wide, -78.0, z + 3.5)
            tip = (x + sign * (1.0 * wide + 14.0), -88.0, z + 6.0)
            size = np.array([4.2, 3.4])
            tubes.append(tubes_of(np.array([root, tip]), size, 0.006 * density))
            pedicle = np.array([(root[0], -70.0, root[2] - 2), (root[0], -78.0, root[2])])
            tubes.append(tubes_of(pedicle, 4.6, 0.009 * density, wall=1.6, inside=0.003 * density))
        spinous = np.array([(x, -88.0, z - 4), (x + 1, -104.0, z - 10), (x, -113.0, z - 17)])
        tubes.append(
            tubes_of(spinous, np.array([2.4, 3.0, 3.4]), 0.013 * density, wall=1.2, inside=0.006)
        )
    front = anatomy.at(Column.CAVITY_D, -20.0) + anatomy.at(Column.CAVITY_Y, -20.0)
    x = anatomy.at(Column.MIDDLE, 0.0) - anatomy.at(Column.SHIFT, 0.0)
    blocks.append([x, front - 12, 46 * patient.height, 25, 21, 0.0, 0.03, 0.02])
    blocks.append([x, front + 3, -28 * patient.height, 15, 52, radians(0.5), 0.025, 0.02])
    return np.array(blocks, dtype=np.float64), np.vstack(tubes)
