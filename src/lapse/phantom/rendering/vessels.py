"""Vessel and airway trees that grow towards random points in the lung.

A trunk enters at the hilum. End points in the lung are connected in the order of their distance
from the hilum, each to the node that minimizes the length of the new branch plus a fraction of the
path from the hilum (a compromise between a minimal tree and straight paths). Radii follow Murray's
law: r^2.55 is conserved at every bifurcation. Airways are parallel to the larger vessels. A tree is
grown once per patient, at full inspiration; `Anatomy.breathe` moves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lapse.phantom.patients.acquisition import Acquisition
from lapse.phantom.patients.patient import Patient
from lapse.phantom.rendering.anatomy import GRID, SIGNS, Anatomy
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.kernels import Floats, compiled
from lapse.phantom.rendering.splat import NUM_TUBE_VALUES, smooth_line, tubes_of

MU_VESSEL = 0.042  # per mm, blood instead of lung, including wall and sheath
MU_AIR = -0.0175  # per mm, air instead of soft tissue
END_RADIUS = 0.58  # mm
MURRAY = 2.55


@dataclass(frozen=True, slots=True)
class Tree:
    """Segments of both lungs at full inspiration."""

    starts: Floats  # [n, 3]
    ends: Floats  # [n, 3]
    radii: Floats  # [n]
    depth: Floats  # [n] path length from the hilum in mm


@compiled
def _grow(
    nodes: Floats, parents: Floats, count: int, targets: Floats, wiggle: Floats, step: float
) -> int:
    """Connect the targets to the tree in place; returns the number of nodes."""
    for i in range(targets.shape[0]):
        best, cost = 0, 1e18
        for j in range(count):
            dx = targets[i, 0] - nodes[j, 0]
            dy = targets[i, 1] - nodes[j, 1]
            dz = targets[i, 2] - nodes[j, 2]
            value = np.sqrt(dx * dx + dy * dy + dz * dz) + 0.42 * nodes[j, 3]
            if value < cost:
                best, cost = j, value
        x, y, z = nodes[best, 0], nodes[best, 1], nodes[best, 2]
        dx, dy, dz = targets[i, 0] - x, targets[i, 1] - y, targets[i, 2] - z
        length = np.sqrt(dx * dx + dy * dy + dz * dz)
        pieces = min(8, max(1, int(length / step)))
        parent = best
        for k in range(1, pieces + 1):
            if count >= nodes.shape[0]:
                return count
            t = k / pieces
            bow = np.sin(3.14159 * t) * length * 0.09
            nodes[count, 0] = x + t * dx + bow * wiggle[i, 0]
            nodes[count, 1] = y + t * dy + bow * wiggle[i, 1]
            nodes[count, 2] = z + t * dz + bow * wiggle[i, 2]
            nodes[count, 3] = nodes[best, 3] + t * length
            parents[count] = parent
            parent = count
            count += 1
    return count


@compiled
def _radii(parents: Floats, count: int, end: float, power: float) -> Floats:
    """The radius of the segment that ends at each node, from the leaves to the root."""
    mass = np.zeros(count)
    for i in range(count - 1, -1, -1):
        if mass[i] == 0.0:
            mass[i] = end**power
        if parents[i] >= 0:
            mass[int(parents[i])] += mass[i]
    return mass ** (1.0 / power)


@lru_cache(maxsize=16)
def grow_tree(patient: Patient) -> Tree:
    """The vessel tree of a patient."""
    rng = np.random.Generator(np.random.PCG64(patient.vessel_seed))
    parts = [_one_lung(patient, side, rng) for side in (0, 1)]
    return Tree(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _one_lung(
    patient: Patient, side: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats, Floats]:
    sign = SIGNS[side]
    hilum_z = (-10.0, 2.0)[side] * patient.height
    wide, tall = patient.width, patient.height
    top, base = 90.0 * tall, (-112.0 - 6.0 * side) * tall
    count = patient.vessel_count
    targets = np.empty((0, 3))
    while len(targets) < count:
        z = base - 25.0 + (top - base + 25.0) * rng.random(4 * count)
        up = np.clip((z + 88.0) / (185.0 * tall), 0.0, 0.995)
        half = 128.0 * wide * (1.0 - up**2.5) ** 0.49
        deep = 78.0 * patient.depth * (1.0 - up**2.3) ** 0.45
        x = half * (0.12 + 0.88 * rng.random(4 * count))
        y = deep * rng.uniform(-1, 1, 4 * count)
        inside = (x / half) ** 2.4 + (np.abs(y) / deep) ** 2.4 < 1.0
        below = z < base + np.where(y > 0, 0.2, -0.5) * np.abs(y) + 14.0
        in_heart = (side == 1) & (z < -20) & (y > 5) & (x < 62 * patient.heart)
        points = np.stack([sign * x, y - 4.0 - 0.24 * np.maximum(z + 40.0, 0.0), z], axis=1)
        targets = np.vstack([targets, points[inside & ~below & ~in_heart]])
    targets = targets[:count]
    root = np.array([sign * 27.0, -2.0, hilum_z])
    order = np.argsort(np.linalg.norm(targets - root, axis=1) + 22 * rng.random(count))
    # trunks of the lower lobe, lateral to the heart, and of the upper lobe
    steps = (  # along x, y, z
        (0, 9, 17, 21, 24, 10, 16, 23),
        (0, -4, -8, -12, -17, 0, 0, -2),
        (0, -4, -18, -36, -54, 9, 24, 40),
    )
    trunk = root + np.array(steps, dtype=np.float64).T * (sign, 1.0, 1.0)
    nodes, parents = np.zeros((count * 8 + 8, 4)), np.full(count * 8 + 8, -1.0)
    nodes[:8, :3] = trunk
    nodes[:8, 3] = (0, 5, 12, 18, 25, 6, 12, 20)
    parents[1:8] = (0, 1, 2, 3, 1, 5, 6)
    wiggle = rng.uniform(-1, 1, (count, 3))
    total = _grow(nodes, parents, 8, targets[order], wiggle, 6.0)
    radii = patient.vessel_size * _radii(parents, total, END_RADIUS, MURRAY)
    radii *= 1.0 + 0.9 * np.exp(-((nodes[:total, 3] / 34.0) ** 2))  # hilar arteries
    links = parents[1:total].astype(int)
    return nodes[links, :3], nodes[1:total, :3], radii[1:], nodes[1:total, 3]


def vessel_tubes(anatomy: Anatomy) -> Floats:
    """The vessels at this exposure; congestion widens them. # [n, 11]"""
    tree, effects = grow_tree(anatomy.patient), anatomy.effects
    upper = np.clip((tree.ends[:, 2] + 10.0) / 40.0, 0.0, 1.0)
    hilar = np.exp(-((tree.depth / 34.0) ** 2))
    factor = effects.vessels * (1.0 + effects.upper * upper) * (1.0 + effects.hila * hilar)
    factor *= 1.0 - 0.25 * effects.flat
    radii = tree.radii * factor
    rows = np.zeros((len(radii), NUM_TUBE_VALUES))
    rows[:, 0:3] = anatomy.breathe(tree.starts)
    rows[:, 4:7] = anatomy.breathe(tree.ends)
    rows[:, 3] = rows[:, 7] = radii
    rows[:, 8] = MU_VESSEL * np.clip(1.15 - radii / 14.0, 0.5, 1.0)
    return rows


def hilar_tubes(anatomy: Anatomy) -> Floats:
    """The pulmonary arteries of both hila: the right turns down, the left crosses its bronchus and
    is higher. # [n, 11]"""
    effects = anatomy.effects
    size = anatomy.patient.vessel_size * effects.vessels * (1.0 + 0.5 * effects.hila)
    rows = []
    for side, knots in enumerate(
        (
            [(12, 0, 6), (26, -2, 0), (35, -6, -14), (39, -12, -34), (42, -18, -52)],
            [(12, 2, 10), (27, -6, 18), (37, -14, 12), (42, -18, -6), (46, -22, -36)],
        )
    ):
        hx, hz = anatomy.hila[side]
        offset = np.array([hx - SIGNS[side] * 34.0, 0.0, hz + 6.0])
        points = np.array(knots, dtype=np.float64) * (SIGNS[side], 1.0, 1.0) + offset
        radii = size * np.interp(np.linspace(0, 1, 24), [0, 0.3, 0.6, 1], [8.5, 8.5, 7.0, 3.6])
        rows.append(tubes_of(smooth_line(points, 24), radii, 0.62 * MU_VESSEL))
    return np.vstack(rows)


def bronchogram_tubes(anatomy: Anatomy) -> Floats:
    """Airways parallel to medium-sized vessels, which only solid lung makes visible. # [n, 11]"""
    tree = grow_tree(anatomy.patient)
    is_medium = (tree.radii > 0.75) & (tree.depth > 12.0)
    rows = np.zeros((int(is_medium.sum()), NUM_TUBE_VALUES))
    offset = np.array([1.2, 0.0, 1.6]) * tree.radii[is_medium, None] * 1.15
    rows[:, 0:3] = anatomy.breathe(tree.starts[is_medium] + offset)
    rows[:, 4:7] = anatomy.breathe(tree.ends[is_medium] + offset)
    rows[:, 3] = rows[:, 7] = np.maximum(1.0 * tree.radii[is_medium], 1.1)
    rows[:, 8] = MU_AIR * 1.6
    return rows


def airway_tubes(anatomy: Anatomy, acquisition: Acquisition) -> Floats:
    """The trachea and the main bronchi, as missing soft tissue. # [n, 11]"""
    middle = float(np.interp(0.0, GRID, anatomy.table[:, Column.MIDDLE]))
    push = 2.0 + 0.25 * anatomy.effects.knob
    wide = 8.2 if anatomy.patient.sex == "M" else 7.2
    lift = 2.0 if acquisition.is_supine else 0.0
    top = np.array(
        [
            [middle, -18.0, 170.0],
            [middle + 1, -16.0, 110.0],
            [middle - push * 0.6, -13.0, 60.0],
            [middle - push, -12.0, 28.0],
            [middle, -12.0, -1.0 + lift],
        ]
    )
    right = np.array([[middle - 2, -12, 3], [middle - 14, -10, -13], [middle - 25, -12, -28.0]])
    left = np.array([[middle + 2, -12, 3], [middle + 18, -12, -11], [middle + 35, -16, -20.0]])
    if "hila" in anatomy.patient.details:
        right[2], left[2] = (middle - 34, -12, -38.0), (middle + 50, -16, -28.0)
        radii, mu = ((7.4, 5.0), (6.8, 4.6)), (-0.0195, -0.021)
    else:
        radii, mu = ((7.0, 3.2), (6.4, 3.0)), (-0.019, -0.017)
    return np.vstack(
        [
            tubes_of(smooth_line(top, 40), wide, mu[0]),
            tubes_of(smooth_line(right, 16), np.linspace(*radii[0], 16), mu[1]),
            tubes_of(smooth_line(left, 18), np.linspace(*radii[1], 18), mu[1]),
        ]
    )
