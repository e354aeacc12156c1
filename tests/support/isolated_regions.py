"""Line integrals of one isolated anatomical region, as a reference for its box.

lung      attenuation removed by the air in a range of heights of one lung
dome      lung displaced by the diaphragm
solids    path of each ray through ellipsoids (heart, arch, atrium, ...)
tubes     clavicles, airways, hilar vessels; blocks: vertebrae
"""

from __future__ import annotations

from math import inf

import numpy as np

from lapse.core.annotation_names import FURTHER_REGIONS, REGIONS
from lapse.phantom.patients.acquisition import Acquisition
from lapse.phantom.patients.patient import Patient
from lapse.phantom.patients.state import Visit
from lapse.phantom.rendering.anatomy import GRID, SIGNS, Anatomy
from lapse.phantom.rendering.boxes import (
    SIDE_NAMES,
    arch_solids,
    cardiophrenic_angle,
    cavoatrial_junction,
    lung_heights,
    near_hilum,
)
from lapse.phantom.rendering.camera import Slot, pixel_size, rays
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.kernels import Floats, Singles
from lapse.phantom.rendering.lesion_shapes import Lesions
from lapse.phantom.rendering.render import expose, tissue_parameters
from lapse.phantom.rendering.skeleton import clavicle_line, spine_bones
from lapse.phantom.rendering.splat import paint_blocks, paint_tubes, tubes_of
from lapse.phantom.rendering.textures import texture_tile
from lapse.phantom.rendering.vessels import airway_tubes, vessel_tubes
from lapse.phantom.rendering.volumes import soft_tissue

_ALL = (np.full(3, -inf), np.full(3, inf))


def isolated_region(
    name: str, patient: Patient, visit: Visit, acquisition: Acquisition, size: int
) -> Singles:
    """The structure that determines the box of a named region. # [H, W]

    Raises:
        ValueError: not one of the 36 regions.
    """
    if name not in REGIONS and name not in FURTHER_REGIONS:
        raise ValueError(f"{name!r} is not a region: see lapse.core.annotation_names")
    anatomy, camera = expose(patient, visit, acquisition, size)
    for side, word in enumerate(SIDE_NAMES):
        if name.startswith(f"{word} ") and name.removeprefix(f"{word} ") in _SIDED:
            return _sided(name.removeprefix(f"{word} "), side, anatomy, camera, acquisition)
    return _central(name, anatomy, camera, acquisition)


_SIDED = (
    "lung",
    "upper lung zone",
    "mid lung zone",
    "lower lung zone",
    "apical zone",
    "costophrenic angle",
    "hilar structures",
    "hemidiaphragm",
    "clavicle",
    "cardiophrenic angle",
    "upper abdomen",
)


def _sided(
    name: str, side: int, anatomy: Anatomy, camera: Floats, acquisition: Acquisition
) -> Singles:
    heights = lung_heights(anatomy, side)
    if name == "costophrenic angle":
        low, high = heights[name]
        lung = _lung(anatomy, camera, side, low, high)
        beams, y = rays(camera), anatomy.at(Column.CAVITY_Y, low)
        x = SIGNS[side] * (beams[..., 0] + beams[..., 1] * y - anatomy.at(Column.MIDDLE, low))
        wall = anatomy.half_width(side, low + 20.0)
        return np.asarray(lung * (x > wall - 44.0), dtype=np.float32)
    if name in heights:
        return _lung(anatomy, camera, side, *heights[name])
    if name == "hilar structures":
        tubes = vessel_tubes(anatomy)
        return _tubes(tubes[near_hilum(anatomy, side)], camera)
    if name == "clavicle":
        return _tubes(tubes_of(clavicle_line(anatomy, side, acquisition), 6.0, 0.02), camera)
    if name == "cardiophrenic angle":
        return _ball(cardiophrenic_angle(anatomy, side), 8.0, camera)
    return _dome(anatomy, camera, side)  # hemidiaphragm, upper abdomen


def _central(name: str, anatomy: Anatomy, camera: Floats, acquisition: Acquisition) -> Singles:
    hearts, middle = anatomy.hearts, anatomy.at(Column.MIDDLE, 0.0)
    if name in ("trachea", "carina"):
        tubes = airway_tubes(anatomy, acquisition)
        is_part = (tubes[:, 2] < 128.0) & (tubes[:, 6] > -4.0) & (np.arange(len(tubes)) < 39)
        if name == "carina":
            is_part = (tubes[:, 2] < 14.0) & (tubes[:, 6] > -20.0)
            is_part &= abs(tubes[:, 4] - middle) < 20
        tubes[:, 8] *= -1.0
        return _tubes(tubes[is_part], camera)
    if name == "spine":
        image = _blank(camera)
        paint_blocks(image, spine_bones(anatomy)[0][:-2:2], camera)  # without the sternum
        return image
    if name == "abdomen":
        return np.maximum(_dome(anatomy, camera, 0), _dome(anatomy, camera, 1))
    if name == "cavoatrial junction":
        return _ball(cavoatrial_junction(anatomy), 8.0, camera)
    if name == "descending aorta":
        table = anatomy.table.copy()
        table[(anatomy.top[1] - 4.0 > GRID) | (GRID > 24.0), Column.AORTA_R] = 0.01
        without = table.copy()
        without[:, Column.AORTA_R] = 0.01
        return _tissue(anatomy, camera, table) - _tissue(anatomy, camera, without)
    low, high = _ALL[0].copy(), _ALL[1].copy()
    solids = hearts[:5]
    if name == "aortic arch":
        solids = arch_solids(anatomy)
    elif name == "svc":
        solids = hearts[9:10]
        low[2], high[2] = cavoatrial_junction(anatomy)[2], 62.0 * anatomy.patient.height
    elif name == "right atrium":
        solids = hearts[1:2]
        reach = float(np.hypot(solids[0, 6] * solids[0, 3], solids[0, 7] * solids[0, 5]))
        high[0] = solids[0, 0] + 0.2 * reach
        high[2] = cavoatrial_junction(anatomy)[2]
    elif name.endswith("cardiac silhouette") and name != "cardiac silhouette":
        low[0], high[0] = (middle + 4.0, inf) if name.startswith("left") else (-inf, middle + 4.0)
    elif name.endswith("mediastinum"):
        solids = arch_solids(anatomy)
        if name == "mediastinum":
            solids = np.vstack([solids, hearts[:5]])
        column = _upper_mediastinum(anatomy, camera)
        chords = _chords(rays(camera), solids, low, high)
        return np.asarray(np.maximum(column / 0.014, chords), dtype=np.float32)
    return _chords(rays(camera), solids, low, high)


def _blank(camera: Floats) -> Singles:
    height, width = camera[Slot.SIZE : Slot.WARP]
    return np.zeros((int(height), int(width)), dtype=np.float32)


def _tubes(tubes: Floats, camera: Floats) -> Singles:
    image = _blank(camera)
    paint_tubes(image, tubes, camera)
    return image


def _ball(centre: tuple[float, float, float], radius: float, camera: Floats) -> Singles:
    row = np.array([[*centre, radius, radius, radius, 1.0, 0.0]])
    return _chords(rays(camera), row, *_ALL)


def _chords(beams: Floats, solids: Floats, low: Floats, high: Floats) -> Singles:
    """The longest path of each ray through any of the ellipsoids, clipped to a block. # [H, W]

    `low` and `high` are the corners (x, y, z) of the block; a path counts if its middle is inside.
    """
    x0, kx, z0, kz = np.moveaxis(beams, -1, 0)
    longest = np.zeros(beams.shape[:2])
    for x, y, z, wide, deep, tall, co, si in solids[:, :8]:
        dx, dz = x0 + kx * y - x, z0 + kz * y - z
        p0, q0 = (co * dx - si * dz) / wide, (si * dx + co * dz) / tall
        p1, q1 = (co * kx - si * kz) / wide, (si * kx + co * kz) / tall
        a = p1**2 + q1**2 + 1.0 / deep**2
        b = p0 * p1 + q0 * q1
        half = np.sqrt(np.maximum(1.0 - p0**2 - q0**2 + b**2 / a, 0.0) / a)
        depth = y - b / a
        across, up = x0 + kx * depth, z0 + kz * depth
        is_inside = (across >= low[0]) & (across <= high[0]) & (up >= low[2]) & (up <= high[2])
        longest = np.maximum(longest, np.where(is_inside, 2.0 * half, 0.0))
    return np.asarray(longest, dtype=np.float32)


def _tissue(
    anatomy: Anatomy, camera: Floats, table: Floats, domes: Floats | None = None
) -> Singles:
    """Soft tissue with another table and domes, without texture, lesions and gas. # [H, W]"""
    domes = anatomy.domes if domes is None else domes
    parameters = tissue_parameters(anatomy, pixel_size(camera))
    parameters[[4, 5, 11]] = 0.0  # haze and texture
    solids = (anatomy.hearts, domes, anatomy.extras, np.zeros((0, 9)), Lesions().body_array())
    tile = np.zeros_like(texture_tile())
    layers = soft_tissue(rays(camera), table, *solids, tile, parameters)
    return np.asarray(layers[0], dtype=np.float32)


def _lung(anatomy: Anatomy, camera: Floats, side: int, low: float, high: float) -> Singles:
    """Attenuation that the air between two heights of one lung removes."""
    table = anatomy.table.copy()
    airless = table.copy()
    airless[:, (Column.CAVITY_R, Column.CAVITY_L)] = 0.0
    table[:, Column.CAVITY_R + 1 - side] = 0.0
    table[(low > GRID) | (high < GRID), Column.CAVITY_R + side] = 0.0
    return _tissue(anatomy, camera, airless) - _tissue(anatomy, camera, table)


def _dome(anatomy: Anatomy, camera: Floats, side: int) -> Singles:
    """Lung that a hemidiaphragm displaces, down to the costophrenic angle."""
    table = anatomy.table.copy()
    table[:, Column.CAVITY_R + 1 - side] = 0.0
    table[anatomy.sulcus[side] > GRID, Column.CAVITY_R + side] = 0.0
    lowered = anatomy.domes.copy()
    lowered[:, 2] = -1000.0
    return _tissue(anatomy, camera, table) - _tissue(anatomy, camera, table, lowered)


def _upper_mediastinum(anatomy: Anatomy, camera: Floats) -> Singles:
    """Lung that the mediastinum above the carina displaces."""
    columns = slice(Column.MEDIASTINUM_R, Column.MEDIASTINUM_L + 1)
    table = anatomy.table.copy()
    table[(GRID < 0.0) | (anatomy.apex < GRID), columns] = 0.01
    without = table.copy()
    without[:, columns] = 0.01
    return _tissue(anatomy, camera, table) - _tissue(anatomy, camera, without)
