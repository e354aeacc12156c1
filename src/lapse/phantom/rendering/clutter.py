"""Objects on the chest of a patient at the bedside: cables, tubings and electrodes.

They are outside of the patient and belong to the exposure, so no report, question or answer names
them. Devices inside the patient are in devices.py.
"""

from __future__ import annotations

import numpy as np

from lapse.phantom.patients.acquisition import Portable
from lapse.phantom.rendering.anatomy import Anatomy
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.kernels import Floats
from lapse.phantom.rendering.splat import NUM_TUBE_VALUES, smooth_line, tubes_of

REACH = 210.0  # mm from the middle of the chest to where a cable begins
GAP = 24.0  # mm from the chest cavity to the skin


def clutter_parts(portable: Portable, anatomy: Anatomy) -> tuple[Floats, Floats]:
    """Tubes and blocks of everything on the chest. # [n, 11], [m, 8]"""
    rng = np.random.Generator(np.random.PCG64(portable.seed))
    tubes: list[Floats] = [np.zeros((0, NUM_TUBE_VALUES))]
    blocks: list[list[float]] = []
    ends = [_on_chest(rng, anatomy) for _ in range(portable.num_electrodes)]
    for index in range(portable.num_cables):
        end = ends[index] if index < len(ends) else _outside(rng, anatomy)
        line = smooth_line(_course(rng, end, anatomy), 60)
        size = float(rng.uniform(0.8, 1.7))
        tubes.append(tubes_of(line, size, float(rng.uniform(0.08, 0.36))))
    for _ in range(portable.num_tubings):
        line = smooth_line(_course(rng, _outside(rng, anatomy), anatomy), 60)
        size = float(rng.uniform(2.5, 6.5))
        tubes.append(tubes_of(line, size, 0.03, wall=1.1, inside=0.002))
    for x, y, z in ends:
        turn = float(rng.uniform(0.0, np.pi))
        size, tall = float(rng.uniform(3.0, 5.0)), float(rng.uniform(5.0, 9.0))
        blocks.append([x, y, z, size, tall, turn, float(rng.uniform(0.02, 0.25)), 0.35])
        if rng.random() < 0.5:  # the gel of the electrode
            blocks.append([x, y, z, 15.0, 15.0, turn, 0.05, 0.03])
    return np.vstack(tubes), np.array(blocks, dtype=np.float64).reshape(-1, 8)


def _depth(z: float, anatomy: Anatomy) -> float:
    """The depth of the skin of the chest at a height."""
    return anatomy.at(Column.CAVITY_D, z) + anatomy.at(Column.CAVITY_Y, z) + GAP


def _on_chest(rng: np.random.Generator, anatomy: Anatomy) -> tuple[float, float, float]:
    """A position on the skin: below a clavicle or at the side of the chest."""
    z = float(rng.choice([45.0, 10.0, -70.0, -120.0]) + rng.uniform(-25.0, 25.0))
    sign = 1.0 if rng.random() < 0.5 else -1.0
    x = anatomy.at(Column.MIDDLE, z) + sign * float(rng.uniform(35.0, 135.0))
    return x, 0.7 * _depth(z, anatomy), z


def _outside(rng: np.random.Generator, anatomy: Anatomy) -> tuple[float, float, float]:
    """A position next to the patient."""
    angle = float(rng.uniform(0.0, 2.0 * np.pi))
    z = -50.0 + REACH * float(np.sin(angle))
    return REACH * float(np.cos(angle)), 0.5 * _depth(z, anatomy), z


def _course(rng: np.random.Generator, end: tuple[float, float, float], anatomy: Anatomy) -> Floats:
    """Knots from outside of the image to an end, in slack bends. # [5, 3]"""
    start = np.array(_outside(rng, anatomy))
    fractions = np.array([0.0, 0.25, 0.5, 0.75, 1.0])[:, None]
    knots = start + fractions * (np.array(end) - start)
    slack = np.array([34.0, 6.0, 34.0]) * np.sin(np.pi * fractions)
    return np.asarray(knots + slack * rng.standard_normal((5, 3)))
