"""Tubes, lines, implants and leads, as radiopaque tubes and blocks in their usual position.

The course of a device follows from its seed and side, so it is the same at every visit. Unknown
devices are ignored.
"""

from __future__ import annotations

import numpy as np

from lapse.phantom.patients.state import Visit
from lapse.phantom.rendering.anatomy import SIGNS, Anatomy
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.kernels import Floats
from lapse.phantom.rendering.splat import smooth_line, tubes_of

Knots = list[tuple[float, float, float]]


def device_parts(visit: Visit, anatomy: Anatomy) -> tuple[Floats, Floats]:
    """Tubes [n, 11] and blocks [m, 8] of all devices of a visit."""
    tubes: list[Floats] = [np.zeros((0, 11))]
    blocks: list[list[float]] = []
    for device in visit.devices:
        rng = np.random.Generator(np.random.PCG64([abs(device.seed), 77]))
        side = 1 if device.side == "left" else 0
        if device.name == "pacemaker":
            side = 0 if device.side == "right" else 1
            tubes += _pacemaker(anatomy, rng, side, blocks)
        elif device.name in _TUBES:
            tubes += _TUBES[device.name](anatomy, rng, side)
    return np.vstack(tubes), np.array(blocks, dtype=np.float64).reshape(-1, 8)


def _wire(knots: Knots, radius: float, mu: float, *, wall: float = 0.0, count: int = 60) -> Floats:
    return tubes_of(smooth_line(np.array(knots), count), radius, mu, wall=wall)


def _middle(anatomy: Anatomy, z: float) -> float:
    return anatomy.at(Column.MIDDLE, z)


def _endotracheal(anatomy: Anatomy, rng: np.random.Generator, _side: int) -> list[Floats]:
    tip = float(rng.uniform(24.0, 56.0))
    lean = float(rng.uniform(-3, 3))
    knots = [
        (_middle(anatomy, 170) + lean, -16.0, 215.0),
        (_middle(anatomy, 120), -15.0, 120.0),
        (_middle(anatomy, tip) + 0.4 * lean, -13.0, tip),
    ]
    line = [(x + 3.6, y, z) for x, y, z in knots]
    return [_wire(knots, 5.0, 0.03, wall=1.1), _wire(line, 0.9, 0.16)]


def _nasogastric(anatomy: Anatomy, rng: np.random.Generator, _side: int) -> list[Floats]:
    top = anatomy.top[1]
    bend = float(rng.uniform(-4, 6))
    far = float(rng.uniform(0.3, 0.55)) * anatomy.half_width(1, -100)
    knots = [
        (_middle(anatomy, 170) + 2, -26.0, 215.0),
        (_middle(anatomy, 90) + 3, -32.0, 90.0),
        (_middle(anatomy, 10) + 4 + bend, -38.0, 5.0),
        (_middle(anatomy, -70) + 8 + bend, -40.0, -70.0),
        (_middle(anatomy, top) + 16.0, -30.0, top - 4.0),
        (far, -6.0, top - 42.0),
        (far + float(rng.uniform(-14, 22)), 10.0, top - 84.0),
    ]
    return [_wire(knots, 2.3, 0.03, wall=0.8, count=90), _wire(knots, 0.9, 0.32, count=90)]


def _svc_end(anatomy: Anatomy, rng: np.random.Generator) -> Knots:
    """The course in the superior vena cava, to about the cavoatrial junction."""
    low = float(rng.uniform(-44.0, -14.0))
    x = _middle(anatomy, 10)
    return [(x - 20, 8.0, 52.0), (x - 24, 8.0, 18.0), (x - 25, 8.0, low)]


def _picc(anatomy: Anatomy, rng: np.random.Generator, side: int) -> list[Floats]:
    sign, wide = SIGNS[side], anatomy.patient.width
    knots: Knots = [
        (sign * 215 * wide, -10.0, -30.0 + float(rng.uniform(-15, 15))),
        (sign * 178 * wide, -8.0, 42.0),
        (sign * 132 * wide, 10.0, 76.0),
        (sign * 80 * wide, 30.0, 74.0),
        (sign * 38 * wide, 28.0, 62.0),
    ]
    if side == 1:
        knots.append((_middle(anatomy, 55) + 8, 26.0, 52.0))
    return [_wire(knots + _svc_end(anatomy, rng), 1.1, 0.22, count=110)]


def _central(anatomy: Anatomy, rng: np.random.Generator, side: int) -> list[Floats]:
    sign = SIGNS[side]
    x = _middle(anatomy, 100)
    knots: Knots = [
        (x + sign * (62 + float(rng.uniform(0, 18))), 26.0, 186.0),
        (x + sign * 46, 24.0, 140.0),
        (x + sign * 32, 18.0, 96.0),
    ]
    if side == 1:
        knots.append((x + 14, 20.0, 62.0))
    return [_wire(knots + _svc_end(anatomy, rng), 1.5, 0.18, count=90)]


def _chest_tube(anatomy: Anatomy, rng: np.random.Generator, side: int) -> list[Floats]:
    sign = SIGNS[side]
    enter = float(rng.uniform(-78.0, -40.0))
    wall = anatomy.half_width(side, enter)
    x = _middle(anatomy, enter)
    high = anatomy.apex - float(rng.uniform(16, 40))
    knots = [
        (x + sign * (wall + 68), 0.0, enter - 34.0),
        (x + sign * (wall + 6), -10.0, enter),
        (x + sign * 0.84 * wall, -34.0, enter + 34.0),
        (x + sign * 0.66 * wall, -44.0, 20.0),
        (x + sign * 0.36 * wall, -42.0, high),
    ]
    return [_wire(knots, 5.0, 0.026, wall=1.2, count=80), _wire(knots, 1.0, 0.15, count=80)]


def _pacemaker(
    anatomy: Anatomy, rng: np.random.Generator, side: int, blocks: list[list[float]]
) -> list[Floats]:
    sign, wide = SIGNS[side], anatomy.patient.width
    x, z = sign * 108.0 * wide, 30.0 + float(rng.uniform(-10, 8))
    blocks.append([x, 92.0, z, 24.0, 21.0, float(rng.uniform(-0.4, 0.4)), 1.5, 0.9])
    blocks.append([x + 2, 92.0, z - 5, 13.0, 9.0, 0.2, 0.7, 0.3])
    start: Knots = [
        (x, 92.0, z + 22),
        (x - sign * 8, 80.0, z + 42),
        (sign * 62 * wide, 46.0, 68.0),
        (sign * 26 * wide, 26.0, 60.0),
    ]
    if side == 1:
        start.append((_middle(anatomy, 50) - 6, 20.0, 48.0))
    atrium, ventricle = anatomy.hearts[1], anatomy.hearts[2]
    m = _middle(anatomy, 10)
    down: Knots = [(m - 22, 10.0, 16.0), (m - 24, 10.0, -22.0)]
    loop: Knots = [
        (float(atrium[0]) - 6, 14.0, float(atrium[2]) - 14),
        (float(atrium[0]) - 4, 34.0, float(atrium[2]) + 6),
    ]
    apex: Knots = [
        (float(atrium[0]) + 2, 14.0, float(atrium[2]) - 22),
        (float(ventricle[0]), 34.0, float(ventricle[2]) - 8),
        (float(ventricle[0] + 0.7 * ventricle[3]), 36.0, float(ventricle[2]) - 4),
    ]
    return [
        _wire(start + down + loop, 1.0, 0.24, count=110),
        _wire(start + down + apex, 1.1, 0.26, count=120),
    ]


def _sternal_wires(anatomy: Anatomy, rng: np.random.Generator, _side: int) -> list[Floats]:
    wires = []
    front = anatomy.at(Column.CAVITY_D, -20.0) + anatomy.at(Column.CAVITY_Y, -20.0)
    for index in range(6):
        z = 56.0 - 25.0 * index + float(rng.uniform(-2, 2))
        x = _middle(anatomy, z) + float(rng.uniform(-2, 2))
        wide, tall = float(rng.uniform(8, 11)), float(rng.uniform(5.5, 8))
        turn = np.linspace(0.35, 2 * np.pi + 0.2, 26)
        twist = float(rng.uniform(-0.35, 0.35))
        ring: Knots = [
            (x + wide * float(np.sin(t)), front, z + tall * float(np.cos(t + twist))) for t in turn
        ]
        ring += [(x + 2.5, front + 3, z + tall + 4.0)]
        wires.append(_wire(ring, 0.7, 1.1, count=60))
    return wires


def _leads(anatomy: Anatomy, rng: np.random.Generator, _side: int) -> list[Floats]:
    rows = []
    wide = anatomy.patient.width
    front = anatomy.at(Column.BODY_D, -20.0) + anatomy.at(Column.BODY_Y, -20.0)
    electrodes = [(-118.0, 58.0), (116.0, 56.0), (-122.0, -112.0), (124.0, -118.0), (34.0, -52.0)]
    for x, z in electrodes[: 3 + int(rng.integers(0, 3))]:
        x = wide * (x + float(rng.uniform(-14, 14)))
        z = z + float(rng.uniform(-14, 14))
        y = 0.8 * front
        pad = np.array([(x, y - 0.8, z), (x, y + 0.8, z)])
        rows.append(tubes_of(pad, 5.5, 0.16, wall=0.0))
        rows.append(tubes_of(pad, 2.2, 0.4))
        offset = 40.0 * float(rng.uniform(-1, 1))
        end_z = -300.0 if rng.random() < 0.4 else 190.0
        knots = [
            (x, y, z),
            (x + 0.5 * offset, y, z + 0.25 * (end_z - z) + float(rng.uniform(-16, 16))),
            (0.5 * x + offset, y, z + 0.6 * (end_z - z)),
            (0.6 * x + offset, y, end_z),
        ]
        rows.append(_wire(knots, 0.62, 0.22, count=80))
    return rows


_TUBES = {
    "endotracheal tube": _endotracheal,
    "nasogastric tube": _nasogastric,
    "picc line": _picc,
    "central line": _central,
    "chest tube": _chest_tube,
    "sternal wires": _sternal_wires,
    "ecg leads": _leads,
}
