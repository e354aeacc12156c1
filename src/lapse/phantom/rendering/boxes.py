"""Bounding boxes of the named regions, from the projected anatomy of an exposure.

Each region has a set of body points on the outline of its structure. Its box is the smallest box
around their projections, in fractions of the image and clipped to the image. A region that is
mostly outside the field of view has no box.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lapse.phantom.rendering.anatomy import GRID, SIGNS, Anatomy
from lapse.phantom.rendering.camera import Slot, project
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.kernels import Floats
from lapse.phantom.rendering.vessels import grow_tree
from lapse.phantom.rendering.volumes import AORTA_Y, TABLE_Y

FractionBox = tuple[float, float, float, float]
MIN_SIDE = 0.012  # as a fraction of the image
MIN_VISIBLE = 0.2  # as a fraction of the area of the box
SIDE_NAMES = ("right", "left")


def region_boxes(
    anatomy: Anatomy, camera: Floats, clavicles: tuple[Floats, Floats]
) -> dict[str, FractionBox]:
    """Name -> (x1, y1, x2, y2) of the regions in the image."""
    height, width = camera[Slot.SIZE : Slot.WARP]
    boxes: dict[str, FractionBox] = {}
    outlines = _outlines(anatomy, clavicles)
    projected = project(np.vstack(list(outlines.values())), camera)
    ends = np.cumsum([len(points) for points in outlines.values()])
    for name, points in zip(outlines, np.split(projected, ends[:-1]), strict=True):
        u, v = (points[:, 0] + 0.5) / width, (points[:, 1] + 0.5) / height
        box = (float(u.min()), float(v.min()), float(u.max()), float(v.max()))
        x1, y1, x2, y2 = (min(1.0, max(0.0, value)) for value in box)
        area = (box[2] - box[0]) * (box[3] - box[1])
        if min(x2 - x1, y2 - y1) >= MIN_SIDE and (x2 - x1) * (y2 - y1) >= MIN_VISIBLE * area:
            boxes[name] = (x1, y1, x2, y2)
    return boxes


def _outlines(anatomy: Anatomy, clavicles: tuple[Floats, Floats]) -> dict[str, Floats]:
    outlines: dict[str, Floats] = {}
    for side in (0, 1):
        outlines |= _side_outlines(anatomy, side)
        outlines[f"{SIDE_NAMES[side]} clavicle"] = _dilated(clavicles[side], 7.0)
    outlines |= _central_outlines(anatomy)
    return outlines


def lung_heights(anatomy: Anatomy, side: int) -> dict[str, tuple[float, float]]:
    """Lowest and highest point in mm of each part of a lung."""
    apex, sulcus = anatomy.apex, anatomy.sulcus[side]
    hz = anatomy.hila[side][1]
    ceiling = apex - 1.0
    upper, lower = hz + 0.22 * (apex - hz), hz - 0.36 * (hz - anatomy.top[side])
    return {
        "lung": (sulcus, ceiling),
        "upper lung zone": (upper, ceiling),
        "mid lung zone": (lower, upper),
        "lower lung zone": (sulcus, lower),
        "apical zone": (apex - 42.0 * anatomy.patient.height, ceiling),
        "costophrenic angle": (sulcus, sulcus + 36.0),
    }


def near_hilum(anatomy: Anatomy, side: int) -> NDArray[np.bool_]:
    """Which vessels of the tree form the hilar shadow. # [n]"""
    tree = grow_tree(anatomy.patient)
    on_side = (tree.ends[:, 0] > 0) == (side == 1)
    return np.asarray(on_side & (tree.depth < 22.0) & (tree.radii > 2.0), dtype=np.bool_)


def arch_solids(anatomy: Anatomy) -> Floats:
    """The aortic knob. # [1, 8]"""
    return anatomy.hearts[6:7]


def cardiophrenic_angle(anatomy: Anatomy, side: int) -> tuple[float, float, float]:
    """The angle between heart and diaphragm."""
    edge = _heart_edge(anatomy, side)
    return edge, 15.0, anatomy.top[side] - 4.0


def cavoatrial_junction(anatomy: Anatomy) -> tuple[float, float, float]:
    """The entry of the superior vena cava into the right atrium."""
    atrium = surfaces(anatomy.hearts[1:2])
    return float(atrium[:, 0].min()) + 17.0, 8.0, float(atrium[:, 2].max()) - 4.0


def _lung_points(anatomy: Anatomy, side: int, low: float, high: float) -> Floats:
    """Points on the wall of the cavity between two heights, and on the inner edge of the lung."""
    sign, table = SIGNS[side], anatomy.table
    heights = np.linspace(low, high, 9)
    angle = np.linspace(-1.35, 1.35, 5)
    columns = (Column.MIDDLE, Column.CAVITY_R + side, Column.CAVITY_D, Column.CAVITY_Y)
    middle, half, deep, mid_y = (np.interp(heights, GRID, table[:, c])[:, None] for c in columns)
    x = sign * np.maximum(half, 12.0) * np.cos(angle) ** 0.85
    y = mid_y + deep * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.85
    x, y = np.hstack([x, 0 * mid_y + sign * 6.0]), np.hstack([y, mid_y])
    z = np.broadcast_to(heights[:, None], x.shape)
    points = np.stack([(middle + x).ravel(), y.ravel(), z.ravel()], axis=1)
    return _with_table_depth(points)


def _with_table_depth(points: Floats) -> Floats:
    """The points, and those at the depth where volumes.soft_tissue reads the table. # [2 n, 3]"""
    moved = points.copy()
    moved[:, 1] = TABLE_Y
    return np.vstack([points, moved])


def _side_outlines(anatomy: Anatomy, side: int) -> dict[str, Floats]:
    """Lung, zones, hilum, angles and hemidiaphragm of one side."""
    sign, word = SIGNS[side], SIDE_NAMES[side]
    top, sulcus = anatomy.top[side], anatomy.sulcus[side]
    hx, hz = anatomy.hila[side]
    outlines = {
        f"{word} {name}": _lung_points(anatomy, side, *heights)
        for name, heights in lung_heights(anatomy, side).items()
    }
    angle = outlines[f"{word} costophrenic angle"].copy()
    wall = anatomy.at(Column.MIDDLE, sulcus) + sign * anatomy.half_width(side, sulcus + 20.0)
    angle[:, 0] = sign * np.maximum(sign * angle[:, 0], sign * wall - 46.0)
    angle[:, 1] = anatomy.at(Column.CAVITY_Y, sulcus)
    corner = cardiophrenic_angle(anatomy, side)
    tree = grow_tree(anatomy.patient)
    is_hilar = near_hilum(anatomy, side)
    vessels = np.vstack([tree.starts[is_hilar], tree.ends[is_hilar]])
    size = float(tree.radii[is_hilar].max(initial=1.0)) * 1.3
    middle = anatomy.at(Column.MIDDLE, top)
    abdomen = anatomy.half_width(side, top) + 4.0
    hilum = _rectangle((hx - sign * 16, hx + sign * 27), (hz - 40, hz + 28), -5.0)
    dome = _dome_points(anatomy, side)
    below = _rectangle((middle, middle + sign * abdomen), (-300.0, top), 10.0)
    return outlines | {
        f"{word} hilar structures": np.vstack([hilum, _dilated(anatomy.breathe(vessels), size)]),
        f"{word} costophrenic angle": angle,
        f"{word} hemidiaphragm": dome,
        f"{word} cardiophrenic angle": _rectangle(
            (corner[0] - 17, corner[0] + 17), (corner[2] - 21, corner[2] + 21), corner[1]
        ),
        f"{word} upper abdomen": np.vstack([below, dome]),
    }


def _dome_points(anatomy: Anatomy, side: int) -> Floats:
    """Points on a hemidiaphragm between its top and the costophrenic angle."""
    sign, sulcus, top = SIGNS[side], anatomy.sulcus[side], anatomy.top[side]
    dome = anatomy.domes[side]
    points = []
    for z in np.linspace(sulcus, top, 8):
        middle, y = anatomy.at(Column.MIDDLE, z), anatomy.at(Column.CAVITY_Y, z)
        wall, deep = anatomy.half_width(side, z), anatomy.at(Column.CAVITY_D, z)
        below_top = max(top - z, 0.0)
        lateral = min(sign * (dome[0] - middle) + float(np.sqrt(2 * below_top * dome[3])), wall)
        anterior = min(dome[1] + float(np.sqrt(2 * below_top * dome[6])), y + 0.8 * deep)
        posterior = max(dome[1] - float(np.sqrt(2 * below_top * dome[5])), y - 0.8 * deep)
        points += [(middle + sign * x, y, z) for x in (8.0, lateral)]
        points += [(float(dome[0]), depth, z) for depth in (anterior, posterior)]
    return np.array(points)


def _central_outlines(anatomy: Anatomy) -> dict[str, Floats]:
    size, apex, hearts = anatomy.patient.height, anatomy.apex, anatomy.hearts
    heart, atrium = surfaces(hearts[:5]), surfaces(hearts[1:2])
    arch = surfaces(arch_solids(anatomy))
    middle = anatomy.at(Column.MIDDLE, 0.0)
    borders = []
    for z in np.linspace(0.0, apex, 12):
        x, y = anatomy.at(Column.MIDDLE, z), anatomy.at(Column.MEDIASTINUM_Y, z)
        borders.append((x - anatomy.at(Column.MEDIASTINUM_R, z), y, z))
        borders.append((x + anatomy.at(Column.MEDIASTINUM_L, z), y, z))
    mediastinum = _with_table_depth(np.array(borders))
    spine = np.array(
        [
            (anatomy.at(Column.SPINE_X, z) + x, -60.0, z)
            for z in np.linspace(-345.0, 260.0, 60)
            for x in (-30.0, 30.0)
        ]
    )
    aorta = np.array(
        [
            (anatomy.at(Column.AORTA_X, z) + x * anatomy.at(Column.AORTA_R, z), AORTA_Y, z)
            for z in np.linspace(anatomy.top[1] - 8, 26.0, 30)
            for x in (-1.0, 1.0)
        ]
    )
    join_x, join_y, join_z = cavoatrial_junction(anatomy)
    edge, width = float(atrium[:, 0].min()), float(np.ptp(atrium[:, 0]))
    atrium[:, 0] = np.minimum(atrium[:, 0], edge + 0.62 * width)
    atrium[:, 2] = np.minimum(atrium[:, 2], join_z)
    cava = surfaces(hearts[9:10])
    cava[:, 2] = np.clip(cava[:, 2], join_z, 66.0 * size)
    abdomen = [
        (middle + sign * (anatomy.half_width(side, anatomy.top[side]) + 5), 0.0, z)
        for side, sign in enumerate(SIGNS)
        for z in (-330.0, anatomy.top[side])
    ]
    domes = [_dome_points(anatomy, side) for side in (0, 1)]
    root = (float(hearts[7, 0]) - 8.0, float(arch[:, 0].max()))
    return {
        "trachea": _rectangle((middle - 16, middle + 16), (-8.0, 134.0), -14.0),
        "spine": spine,
        "aortic arch": np.vstack([_rectangle(root, (12.0, 26.0), -10.0), arch]),
        "mediastinum": np.vstack([heart, mediastinum, arch]),
        "upper mediastinum": np.vstack([mediastinum, arch]),
        "svc": cava,
        "cardiac silhouette": heart,
        "cavoatrial junction": _rectangle(
            (join_x - 15, join_x + 15), (join_z - 15, join_z + 15), join_y
        ),
        "right atrium": atrium,
        "carina": _rectangle((middle - 26, middle + 26), (-27.0, 20.0), -12.0),
        "abdomen": np.vstack([abdomen, *domes]),
        "left cardiac silhouette": np.maximum(heart, (middle + 4.0, -np.inf, -np.inf)),
        "right cardiac silhouette": np.minimum(heart, (middle + 4.0, np.inf, np.inf)),
        "descending aorta": _with_table_depth(aorta),
    }


def _heart_edge(anatomy: Anatomy, side: int) -> float:
    heart = surfaces(anatomy.hearts[:4])
    low = heart[heart[:, 2] < anatomy.top[side] + 40.0]
    edge = heart if not len(low) else low
    return float(edge[:, 0].max() if side else edge[:, 0].min()) * (0.85 if side else 1.0)


def _rectangle(x: tuple[float, float], z: tuple[float, float], y: float) -> Floats:
    return np.array([(a, y, b) for a in x for b in z])


def _dilated(points: Floats, radius: float) -> Floats:
    offsets = ((radius, radius), (-radius, radius), (radius, -radius), (-radius, -radius))
    return np.vstack([points + np.array([a, 0.0, b]) for a, b in offsets])


def surfaces(solids: Floats) -> Floats:
    """Points on the surfaces of ellipsoids. # [n, 8] -> [120 n, 3]"""
    angle = np.linspace(0.0, 2 * np.pi, 40, endpoint=False)
    level = np.array([-0.6, 0.0, 0.6])[:, None]  # of depth
    across, up = np.sqrt(1.0 - level**2) * np.cos(angle), np.sqrt(1.0 - level**2) * np.sin(angle)
    x0, y0, z0, wide, deep, tall, co, si = (solids[:, k, None, None] for k in range(8))
    x = x0 + co * wide * across + si * tall * up
    z = z0 - si * wide * across + co * tall * up
    y = np.broadcast_to(y0 + deep * level, x.shape)
    return np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
