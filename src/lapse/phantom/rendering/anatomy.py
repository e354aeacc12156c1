"""The geometry of the chest at one exposure, from the patient, the findings and the inspiration.

It consists of a table of cross-sections over height, ellipsoids for the heart and great vessels,
two domes, gas and soft tissue, as the kernel in volumes.py reads them, and of landmarks that other
modules use. The cavity is a superellipse whose width decreases towards the apex as a power law. A
shallow inspiration elevates the domes, narrows the chest and makes the heart more horizontal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import cos, radians, sin

import numpy as np

from lapse.phantom.patients.acquisition import Acquisition
from lapse.phantom.patients.patient import Patient
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.effects import Effects
from lapse.phantom.rendering.kernels import Floats
from lapse.phantom.rendering.volumes import Z_LOW, Z_ROWS

GRID: Floats = Z_LOW + np.arange(Z_ROWS, dtype=np.float64)
SIGNS = (-1.0, 1.0)  # sign of x on the patient's right, left
NO_LEVEL = -1e9


@dataclass(slots=True)
class Anatomy:
    """Solids in body coordinates (mm) at one exposure. Sides: 0 right, 1 left."""

    patient: Patient
    effects: Effects
    table: Floats  # [Z_ROWS, Column.END]
    hearts: Floats  # [n, 8] ellipsoids that displace lung
    domes: Floats  # [2, 8]
    extras: Floats  # [n, 9] arms, shoulders, breasts
    gases: Floats  # [n, 9]
    apex: float  # height of the apex of the lung
    top: tuple[float, float]  # heights of the domes
    sulcus: tuple[float, float]  # heights of the costophrenic angles
    hila: tuple[tuple[float, float], tuple[float, float]]  # x, z
    rise: tuple[float, float]  # mm, elevation of the lung bases relative to full inspiration
    breath: float  # inspiration, 1 is full
    level: list[float]  # heights of fluid levels in the pleural space; NO_LEVEL for none
    meniscus: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """mm by which fluid climbs along the lateral wall; 0 for the level top of a plain anatomy"""

    def at(self, column: Column, z: float) -> float:
        """The value of a column at a height, by linear interpolation."""
        position = min(max(z - Z_LOW, 0.0), Z_ROWS - 1.001)
        low = int(position)
        first, second = self.table[low, column], self.table[low + 1, column]
        return float(first + (position - low) * (second - first))

    def half_width(self, side: int, z: float) -> float:
        """Inner half width of one side of the cavity at a height."""
        return self.at(Column(Column.CAVITY_R + side), z)

    def breathe(self, points: Floats) -> Floats:
        """Move points of the lung from full inspiration to this inspiration. # [n, 3]"""
        moved = points.copy()
        lift = np.where(points[:, 0] < 0, self.rise[0], self.rise[1])
        moved[:, 2] += lift * np.clip((20.0 - points[:, 2]) / 130.0, 0.0, 1.0)
        moved[:, 0] += np.interp(moved[:, 2], GRID, self.table[:, Column.MIDDLE])
        return moved


def build_anatomy(patient: Patient, effects: Effects, acquisition: Acquisition) -> Anatomy:
    """The anatomy of a patient with the effects of findings at one exposure."""
    breath = acquisition.inspiration
    expired = 1.0 - breath
    flat = effects.flat
    apex = 97.0 * patient.height
    rise = [30.0 * expired - 14.0 * flat + lift for lift in effects.lift]
    if acquisition.is_supine:
        rise = [value + 6.0 for value in rise]
    full = -patient.dome_right * patient.height
    top = (full + rise[0], full - patient.dome_left + rise[1])
    half = 139.0 * patient.width * (1.0 - 0.05 * expired + 0.03 * flat)
    depth = 88.0 * patient.depth * (1.0 - 0.08 * expired + 0.06 * flat)
    curve = patient.dome_curve * (1.0 + 0.25 * expired) * (1.0 - 0.55 * flat)
    table = np.zeros((Z_ROWS, int(Column.END)))
    _cavity(table, half=half, depth=depth, apex=apex)
    _middle(table, patient, effects)
    if "mass effect" in patient.details:
        _displace(table, effects)
    _body(table, patient, half, depth)
    radii = (44.0 / curve * patient.width, 190.0 / curve, 66.0 / curve, 118.0 / curve)
    domes = np.array(
        [[SIGNS[side] * 0.5 * half, 12.0, top[side], *radii, SIGNS[side]] for side in (0, 1)]
    )
    domes[:, 0] += float(np.interp(-100.0, GRID, table[:, Column.MIDDLE]))
    domes[:, 0] -= float(np.interp(-100.0, GRID, table[:, Column.SHIFT]))
    sulcus = tuple(top[side] - (0.5 * half * 0.93) ** 2 / (2 * domes[side, 3]) for side in (0, 1))
    middle = float(np.interp(-15.0, GRID, table[:, Column.MIDDLE]))
    anatomy = Anatomy(
        patient=patient,
        effects=effects,
        table=table,
        hearts=_hearts(patient, effects, top, expired, middle),
        domes=domes,
        extras=_extras(patient, half, depth, acquisition),
        gases=np.zeros((0, 9)),
        apex=apex,
        top=top,
        sulcus=(float(sulcus[0]), float(sulcus[1])),
        hila=((middle - 40.0, -16.0), (middle + 43.0, -6.0)),
        rise=(rise[0], rise[1]),
        breath=breath,
        level=[NO_LEVEL, NO_LEVEL],
    )
    _fill_pleural_space(anatomy, acquisition.is_supine)
    anatomy.gases = _gases(anatomy)
    if "bowel gas" in patient.details:
        anatomy.gases = np.vstack([anatomy.gases, _bowel_gas(anatomy, acquisition)])
    return anatomy


def _cavity(table: Floats, *, half: float, depth: float, apex: float) -> None:
    widest = -88.0
    up = np.clip((GRID - widest) / (apex - widest), 0.0, 1.0)
    down = np.clip((widest - GRID) / 120.0, 0.0, 1.5)
    width = half * (1.0 - up**2.5) ** (1 / 2.05) * (1.0 - 0.07 * down**2)
    width[GRID < -255] = 0.0
    deep = depth * (1.0 - up**2.3) ** (1 / 2.2) * (1.0 - 0.05 * down**2)
    table[:, Column.CAVITY_R] = width
    table[:, Column.CAVITY_L] = width
    table[:, Column.CAVITY_D] = np.maximum(deep, 0.5)
    table[:, Column.CAVITY_Y] = -4.0 - 0.24 * np.maximum(GRID + 40.0, 0.0)


def _middle(table: Floats, patient: Patient, effects: Effects) -> None:
    """Spine, mediastinum and descending aorta."""
    phase = 0.4 + (patient.bone_seed % 97) / 97.0
    spread = np.exp(-(((GRID + 60.0) / 150.0) ** 2))
    bend = np.sin((GRID + 60.0) / 95.0 + phase) * spread
    spine = patient.scoliosis * bend + effects.curve * np.cos((GRID + 45.0) / 80.0) * spread
    shift = effects.shift * np.exp(-(((GRID + 50.0) / 110.0) ** 2))
    table[:, Column.SPINE_X] = spine
    table[:, Column.SPINE_R] = np.interp(GRID, [-250, -100, 0, 90], [29.0, 26.0, 23.0, 22.0])
    table[:, Column.MIDDLE] = 0.55 * spine + shift
    wide = patient.mediastinum * patient.width
    heights = [-150, -110, -60, -30, -5, 20, 40, 60, 80, 110]
    right = [20, 21, 22, 25, 30, 31, 29, 25, 27, 36]
    left = [22, 22, 22, 25, 27, 26, 26, 25, 29, 38]
    if "mediastinum" in patient.details:  # vessels make the contour, not the column
        right = [20, 20, 19, 20, 22, 21, 19, 19, 24, 40]
        left = [22, 20, 18, 19, 20, 18, 17, 19, 27, 42]
    for column, widths in ((Column.MEDIASTINUM_R, right), (Column.MEDIASTINUM_L, left)):
        waviness = (
            1.0 + 0.05 * np.sin(GRID / 17.0 + phase * column) + 0.04 * np.sin(GRID / 41.0 + column)
        )
        table[:, column] = _smooth(np.interp(GRID, heights, widths)) * wide * waviness
    table[:, Column.MEDIASTINUM_D] = np.interp(
        GRID, [-135, -110, -60, 0, 60, 110], [95, 64, 50, 54, 44, 40]
    )
    table[:, Column.MEDIASTINUM_Y] = np.interp(
        GRID, [-110, -60, 0, 60, 110], [0, -12, -10, -16, -28]
    )
    sway = patient.aorta_sway + effects.sway
    swing = sway * np.sin(np.clip((8.0 - GRID) / 120.0, 0.0, 1.0) * np.pi)
    taper = np.interp(GRID, [-200, -20, 15, 30], [11.0, 12.5, 12.5, 1.0])
    offset = np.interp(GRID, [-170, -110, -20, 20], [4.0, 14.0, 22.0, 24.0])
    table[:, Column.AORTA_X] = table[:, Column.MIDDLE] + offset + swing
    table[:, Column.AORTA_R] = taper * (0.75 + 0.015 * patient.aortic_knob) + 0.12 * effects.sway


def _smooth(values: Floats) -> Floats:
    kernel = np.hanning(31)
    padded = np.pad(values, 15, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def _body(table: Floats, patient: Patient, half: float, depth: float) -> None:
    wall = 22.0 + 1.6 * max(patient.bmi - 18.0, 0.0)
    trunk = half + wall
    belly = 1.0 + 0.004 * (patient.bmi - 26.0)
    shoulder = 176.0 * patient.width + 0.8 * (patient.bmi - 26)
    neck = (57.0 + 0.7 * (patient.bmi - 26)) * patient.width
    heights = [-360, -200, -60, 8, 62, 92, 118, 140, 165, 280]
    chest = [trunk * belly, trunk * belly, trunk, trunk + 4, shoulder, 0.93 * shoulder]
    throat = [0.66 * shoulder, 0.42 * shoulder + 0.2 * neck, neck, neck]
    table[:, Column.BODY_W] = _smooth(np.interp(GRID, heights, chest + throat))
    front = 24.0 + 1.1 * max(patient.bmi - 18.0, 0.0)
    deep = np.interp(GRID, [-300, -120, -40, 60, 110, 160], [1.08, 1.02, 1.0, 0.8, 0.66, 0.52]) * (
        depth + front
    )
    table[:, Column.BODY_D] = _smooth(deep)
    table[:, Column.BODY_Y] = table[:, Column.CAVITY_Y]


def _hearts(
    patient: Patient, effects: Effects, tops: tuple[float, float], expired: float, middle: float
) -> Floats:
    size = patient.heart * effects.heart * (1.0 - 0.08 * effects.flat)
    wide = size * (0.96 + 0.06 * expired) * patient.width
    tall = size * (0.94 + 0.06 * patient.height)
    lift = 0.5 * (0.5 * (tops[0] + tops[1]) + 112.0)
    turn = radians(patient.heart_turn - 12.0 * expired + 8 * effects.flat)
    low = -37.0 + lift  # fixed upper end: an enlarged heart extends down and to the sides
    knob = patient.aortic_knob + 0.8 * effects.knob
    unfold = 1.0 + 0.02 * effects.sway

    def solid(
        x: float, y: float, z: float, a: float, b: float, c: float, angle: float = 0.0
    ) -> list[float]:
        return [middle + x, y, z, a, b, c, cos(angle), sin(angle)]

    rows = [
        # left ventricle, right atrium, right ventricle, left atrium, outflow tract
        solid(33 * wide, 7, low - 40 * tall, 63 * wide, 63 * wide, 36 * tall, turn),
        solid(-9 * wide, 4, low - 34 * tall, 31 * wide, 56 * wide, 46 * tall, -0.12),
        solid(12 * wide, 26, low - 54 * tall, 52 * wide, 42 * wide, 31 * tall, 0.14),
        solid(0, -20, low - 14 * tall, 40 * wide, 34 * wide, 38 * tall),
        solid(34 * wide, 12, low - 1, 46 * wide, 34, 22, turn + 0.3),
        # ascending aorta, aortic knob, arch, diaphragmatic surface, superior vena cava, fat pads
        solid(-15, 12, 4 + 0.5 * lift, 21 * unfold, 26, 44, -0.08),
        solid(41.5 - knob + 0.5 * (knob - 15), -12, 25, knob, 1.9 * knob, 1.3 * knob),
        solid(16, -4, 26, 26, 20, 0.9 * knob, 0.2),
        solid(14 * wide, 8, 0.5 * (tops[0] + tops[1]) - 17, 62 * wide, 62, 31),
        solid(-25, 4, 32, 10.5, 22, 54, 0.05),
        solid(68 * wide, 30, tops[1] - 1, 30, 26, 13, 0.25),
        solid(-44 * wide, 30, tops[0] - 2, 24, 24, 13, -0.2),
    ]
    return np.array(rows, dtype=np.float64)


def _extras(patient: Patient, half: float, depth: float, acquisition: Acquisition) -> Floats:
    rows, portable = [], acquisition.portable
    is_detailed = "breasts" in patient.details
    for sign in SIGNS:
        arm = 208.0 * patient.width + 1.2 * (patient.bmi - 26)
        arm -= portable.arms if portable else 0.0
        lean = sign * 0.16
        rows.append([sign * arm, -12, -20, 52, 62, 170, cos(lean), sin(lean), -1.0])
        rows.append([sign * 0.93 * 176 * patient.width, -8, 66, 44, 42, 42, 1, 0, -1.0])
        if patient.breast:
            size = patient.breast
            if is_detailed:
                rows += _breast(patient, sign, half, depth, is_supine=acquisition.is_supine)
                continue
            row = [sign * 0.56 * half, depth, -72 - 0.25 * size, 1.15 * size, 0.8 * size]
            rows.append([*row, 0.85 * size, 1, 0, 0.34])
        else:
            pad = [sign * 0.55 * half, depth, 4, 72, 20, 58]
            rows.append([*pad, cos(sign * 0.4), sin(sign * 0.4), 0.5])
    return np.array(rows, dtype=np.float64)


def _breast(
    patient: Patient, sign: float, half: float, depth: float, *, is_supine: bool
) -> list[list[float]]:
    """A breast with a sharp lower border; in supine position it spreads to the side."""
    size = patient.breast
    x, wide = (0.74, 1.05) if is_supine else (0.58, 1.0)
    z, tall = (-58.0 - 0.1 * size, 0.9) if is_supine else (-78.0 - 0.3 * size, 1.0)
    turn = sign * (0.35 if is_supine else 0.12)
    shape = [sign * x * half, depth, z]
    turned = [cos(turn), sin(turn)]
    body = [*shape, wide * size, 0.7 * size, tall * size, *turned, 0.3]
    # a shell of the same shape: its path is longest at the border
    rim = [*shape[:2], z - 0.12 * size, 0.96 * wide * size, 0.25 * size, 0.86 * tall * size]
    return [body, [*rim, *turned, 0.3]]


def _displace(table: Floats, effects: Effects) -> None:
    """Move the mediastinum between the walls of the chest, which keep their position."""
    narrow = effects.shift * np.exp(-(((GRID + 50.0) / 110.0) ** 2))
    shift = effects.shift * np.exp(-(((GRID + 30.0) / 240.0) ** 2))
    table[:, Column.MIDDLE] += shift - narrow
    table[:, Column.AORTA_X] += 0.3 * shift - narrow  # it is held by the spine
    is_chest = table[:, Column.CAVITY_R] > 1.0
    table[:, Column.SHIFT] = shift
    for column, sign in ((Column.CAVITY_R, 1.0), (Column.CAVITY_L, -1.0)):
        width = np.maximum(table[:, column] + sign * shift, 2.0)
        table[:, column] = np.where(is_chest, width, table[:, column])


def _fill_pleural_space(anatomy: Anatomy, is_supine: bool) -> None:
    """Fill the pleural space: erect or supine fluid, scar, and air from the apex."""
    effects, table = anatomy.effects, anatomy.table
    for side in (0, 1):
        sulcus, reach = anatomy.sulcus[side], anatomy.apex - anatomy.sulcus[side]
        fluid = np.zeros(Z_ROWS)
        if effects.blunt[side]:
            level = sulcus + 6.0 + 12.0 * effects.blunt[side]
            fluid = np.maximum(fluid, 10.0 * np.exp(np.minimum((level - GRID) / 7.0, 5.0)))
        severity = effects.fluid[side]
        if severity and is_supine:
            lower = np.clip((anatomy.apex + 20 - GRID) / reach, 0.0, 1.3)
            table[:, Column.BACK_R + side] = (14.0 + 95.0 * severity) * lower**0.7
            fluid = np.maximum(fluid, (3.0 + 9.0 * severity) * np.clip(lower, 0.25, 1.0))
            low_edge = sulcus + 4.0 + 40.0 * severity
            fluid = np.maximum(fluid, 9.0 * np.exp(np.minimum((low_edge - GRID) / 12.0, 5.0)))
        elif severity:
            height = 8.0 + 0.95 * reach * severity**1.35
            if "meniscus" in anatomy.patient.details:
                anatomy.meniscus[side] = min(58.0, 14.0 + 0.6 * height)
                height -= 0.25 * anatomy.meniscus[side]
            anatomy.level[side] = sulcus + height
        grain = 1.0 + 0.35 * np.sin(GRID / 9.0 + side) * np.sin(GRID / 23.0)
        if effects.cap[side]:
            bell = np.exp(-((np.maximum(anatomy.apex - 12 - GRID, 0.0) / 30.0) ** 2))
            fluid = np.maximum(fluid, effects.cap[side] * bell * grain)
        if effects.band[side]:
            bell = np.exp(-(((GRID - 0.55 * sulcus) / 48.0) ** 4))
            fluid = np.maximum(fluid, effects.band[side] * bell * grain)
        table[:, Column.FLUID_R + side] = fluid
        severity = effects.air[side]
        if severity:
            below_apex = np.clip((anatomy.apex - GRID) / reach, 0.0, 1.0)
            high = 11.0 + 66.0 * severity**1.15
            spread = 0.5 + 0.75 * severity
            gap = high * np.exp(-((below_apex / spread) ** 1.7))
            gap += 1.25 * high * np.exp(-((below_apex / 0.16) ** 1.3))
            if is_supine:
                gap = 0.8 * gap + (4.0 + 16.0 * severity) * np.clip(below_apex, 0.0, 1.0) ** 2
            table[:, Column.AIR_R + side] = gap


def _gases(anatomy: Anatomy) -> Floats:
    patient, top = anatomy.patient, anatomy.top[1]
    size = patient.stomach + anatomy.effects.stomach
    x = 0.42 * anatomy.half_width(1, -100.0)
    row = [x, 8.0, top - 9.0 - 0.62 * size, 1.15 * size, 0.9 * size, 0.62 * size]
    rows = [[*row, cos(0.25), sin(0.25), 0.0105]]
    if patient.bone_seed % 3 == 0:  # gas in the splenic flexure
        rows.append([x + 46, 20.0, top - 62, 20, 15, 14, 1.0, 0.0, 0.008])
        rows.append([x + 18, 25.0, top - 92, 15, 13, 11, 1.0, 0.0, 0.007])
    return np.array(rows, dtype=np.float64)


def _bowel_gas(anatomy: Anatomy, acquisition: Acquisition) -> Floats:
    """Loops of bowel with gas below the domes, other ones at each exposure. # [n, 9]"""
    rng = np.random.Generator(np.random.PCG64([acquisition.seed, 1]))
    base = min(anatomy.top) - 40.0
    rows = []
    for _ in range(int(rng.poisson(4.0))):
        centre = [float(rng.uniform(-110, 110)), float(rng.uniform(0, 40))]
        size = float(rng.uniform(9.0, 24.0))
        turn = float(rng.uniform(0.0, np.pi))
        shape = [size * float(rng.uniform(1.0, 2.2)), size, size]
        z = base - size - float(rng.uniform(0.0, 130.0))
        rows.append([*centre, z, *shape, cos(turn), sin(turn), float(rng.uniform(0.005, 0.013))])
    return np.array(rows, dtype=np.float64).reshape(-1, 9)
