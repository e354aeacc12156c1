"""The boxes of the named regions, from the projected anatomy of the exposure.

Each region is a set of body points on the outline of its structure; its box is the smallest
that holds their projections, in fractions of the image, cut at the image's edges. A region of
which too little is in the field is absent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lapse.phantom.rendering.anatomy import GRID, SIGNS, Anatomy
from lapse.phantom.rendering.camera import project
from lapse.phantom.rendering.columns import Column
from lapse.phantom.rendering.kernels import Floats
from lapse.phantom.rendering.vessels import grow_tree
from lapse.phantom.rendering.volumes import AORTA_Y, TABLE_Y

FractionBox = tuple[float, float, float, float]
MIN_SIDE = 0.012  # of the image
MIN_VISIBLE = 0.2  # of the box's area
SIDE_NAMES = ("right", "left")


def region_boxes(
    anatomy: Anatomy, camera: Floats, clavicles: tuple[Floats, Floats]
) -> dict[str, FractionBox]:
    """Name -> (x1, y1, x2, y2), for the regions that are in the image."""
    height, width = camera[15], camera[16]
    boxes: dict[str, FractionBox] = {}
    outlines = _outlines(anatomy, clavicles)
    all_seen = project(np.vstack(list(outlines.values())), camera)
    ends = np.cumsum([len(points) for points in outlines.values()])
    for name, seen in zip(outlines, np.split(all_seen, ends[:-1]), strict=True):
        u, v = (seen[:, 0] + 0.5) / width, (seen[:, 1] + 0.5) / height
        box = (float(u.min()), float(v.min()), float(u.max()), float(v.max()))
        cut = tuple(min(1.0, max(0.0, value)) for value in box)
        sides = (cut[2] - cut[0], cut[3] - cut[1])
        area = (box[2] - box[0]) * (box[3] - box[1])
        if min(sides) >= MIN_SIDE and sides[0] * sides[1] >= MIN_VISIBLE * area:
            boxes[name] = (cut[0], cut[1], cut[2], cut[3])
    return boxes


def _outlines(anatomy: Anatomy, clavicles: tuple[Floats, Floats]) -> dict[str, Floats]:
    outlines: dict[str, Floats] = {}
    for side in (0, 1):
        outlines |= _side_outlines(anatomy, side)
        outlines[f"{SIDE_NAMES[side]} clavicle"] = _grown(clavicles[side], 7.0)
    outlines |= _middle_outlines(anatomy)
    return outlines


def lung_heights(anatomy: Anatomy, side: int) -> dict[str, tuple[float, float]]:
    """Lowest and highest mm of each part of a lung."""
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
    """Which vessels of the tree make the shadow of the hilum. # [n]"""
    tree = grow_tree(anatomy.patient)
    on_side = (tree.ends[:, 0] > 0) == (side == 1)
    return np.asarray(on_side & (tree.depth < 22.0) & (tree.radii > 2.0), dtype=np.bool_)


def arch_solids(anatomy: Anatomy) -> Floats:
    """The knob of the aortic arch. # [1, 8]"""
    return anatomy.hearts[6:7]


def heart_meets_dome(anatomy: Anatomy, side: int) -> tuple[float, float, float]:
    """The corner between heart and diaphragm."""
    edge = _heart_edge(anatomy, side)
    return edge, 15.0, anatomy.top[side] - 4.0


def junction(anatomy: Anatomy) -> tuple[float, float, float]:
    """Where the superior vena cava enters the right atrium."""
    atrium = surfaces(anatomy.hearts[1:2])
    return float(atrium[:, 0].min()) + 17.0, 8.0, float(atrium[:, 2].max()) - 4.0


def _lung_points(anatomy: Anatomy, side: int, low: float, high: float) -> Floats:
    """The wall of the cavity between two heights, and the lung's inner edge."""
    sign, table = SIGNS[side], anatomy.table
    heights = np.linspace(low, high, 9)
    angle = np.linspace(-1.35, 1.35, 5)
    middle, half, deep, mid_y = (
        np.interp(heights, GRID, table[:, column])[:, None]
        for column in (
            Column.MIDDLE,
            Column.CAVITY_R + side,
            Column.CAVITY_D,
            Column.CAVITY_Y,
        )
    )
    x = sign * np.maximum(half, 12.0) * np.cos(angle) ** 0.85
    y = mid_y + deep * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.85
    x, y = np.hstack([x, 0 * mid_y + sign * 6.0]), np.hstack([y, mid_y])
    z = np.broadcast_to(heights[:, None], x.shape)
    points = np.stack([(middle + x).ravel(), y.ravel(), z.ravel()], axis=1)
    return np.vstack([points, _at_table_depth(points)])


def _at_table_depth(points: Floats) -> Floats:
    """The same points where volumes.soft_tissue looks up its table for them. # [n, 3]"""
    moved = points.copy()
    moved[:, 1] = TABLE_Y
    return moved


def _side_outlines(anatomy: Anatomy, side: int) -> dict[str, Floats]:
    """Lungs, zones, hila, angles and hemidiaphragms of one side."""
    sign, word = SIGNS[side], SIDE_NAMES[side]
    top, sulcus = anatomy.top[side], anatomy.sulcus[side]
    hx, hz = anatomy.hila[side]
    found = {
        f"{word} {name}": _lung_points(anatomy, side, *heights)
        for name, heights in lung_heights(anatomy, side).items()
    }
    angle = found[f"{word} costophrenic angle"].copy()
    wall = anatomy.at(Column.MIDDLE, sulcus) + sign * anatomy.half_width(side, sulcus + 20.0)
    angle[:, 0] = sign * np.maximum(sign * angle[:, 0], sign * wall - 46.0)
    angle[:, 1] = anatomy.at(Column.CAVITY_Y, sulcus)
    corner = heart_meets_dome(anatomy, side)
    tree = grow_tree(anatomy.patient)
    kept = near_hilum(anatomy, side)
    vessels = np.vstack([tree.starts[kept], tree.ends[kept]])
    size = float(tree.radii[kept].max(initial=1.0)) * 1.3
    middle = anatomy.at(Column.MIDDLE, top)
    belly = anatomy.half_width(side, top) + 4.0
    return found | {
        f"{word} hilar structures": np.vstack(
            [
                _rectangle((hx - sign * 16, hx + sign * 27), (hz - 40, hz + 28), -5.0),
                _grown(anatomy.breathe(vessels), size),
            ]
        ),
        f"{word} costophrenic angle": angle,
        f"{word} hemidiaphragm": _dome_points(anatomy, side),
        f"{word} cardiophrenic angle": _rectangle(
            (corner[0] - 17, corner[0] + 17), (corner[2] - 21, corner[2] + 21), corner[1]
        ),
        f"{word} upper abdomen": np.vstack(
            [
                _rectangle((middle, middle + sign * belly), (-300.0, top), 10.0),
                _dome_points(anatomy, side),
            ]
        ),
    }


def _dome_points(anatomy: Anatomy, side: int) -> Floats:
    """The diaphragm of one side between its top and the costophrenic angle."""
    sign, sulcus, top = SIGNS[side], anatomy.sulcus[side], anatomy.top[side]
    dome = anatomy.domes[side]
    points = []
    for z in np.linspace(sulcus, top, 8):
        middle, y = anatomy.at(Column.MIDDLE, z), anatomy.at(Column.CAVITY_Y, z)
        wall, deep = anatomy.half_width(side, z), anatomy.at(Column.CAVITY_D, z)
        under = max(top - z, 0.0)
        out = min(sign * (dome[0] - middle) + float(np.sqrt(2 * under * dome[3])), wall)
        front = min(dome[1] + float(np.sqrt(2 * under * dome[6])), y + 0.8 * deep)
        back = max(dome[1] - float(np.sqrt(2 * under * dome[5])), y - 0.8 * deep)
        points += [(middle + sign * x, y, z) for x in (8.0, out)]
        points += [(float(dome[0]), along, z) for along in (front, back)]
    return np.array(points)


def _middle_outlines(anatomy: Anatomy) -> dict[str, Floats]:
    size, apex, hearts = anatomy.patient.height, anatomy.apex, anatomy.hearts
    heart, arch, atrium = (
        surfaces(hearts[:5]),
        surfaces(arch_solids(anatomy)),
        surfaces(hearts[1:2]),
    )
    vein = surfaces(hearts[9:10])
    middle = anatomy.at(Column.MIDDLE, 0.0)
    trunk = []
    for z in np.linspace(0.0, apex, 12):
        x, y = anatomy.at(Column.MIDDLE, z), anatomy.at(Column.MEDIASTINUM_Y, z)
        trunk.append((x - anatomy.at(Column.MEDIASTINUM_R, z), y, z))
        trunk.append((x + anatomy.at(Column.MEDIASTINUM_L, z), y, z))
    column = np.array(trunk)
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
    join_x, join_y, join_z = junction(anatomy)
    edge, reach = float(atrium[:, 0].min()), float(np.ptp(atrium[:, 0]))
    low_atrium = atrium.copy()
    low_atrium[:, 0] = np.minimum(low_atrium[:, 0], edge + 0.62 * reach)
    low_atrium[:, 2] = np.minimum(low_atrium[:, 2], join_z)
    cava = vein.copy()
    cava[:, 2] = np.clip(cava[:, 2], join_z, 66.0 * size)
    bellies = [
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
        "mediastinum": np.vstack([heart, column, _at_table_depth(column), arch]),
        "upper mediastinum": np.vstack([column, _at_table_depth(column), arch]),
        "svc": cava,
        "cardiac silhouette": heart,
        "cavoatrial junction": _rectangle(
            (join_x - 15, join_x + 15), (join_z - 15, join_z + 15), join_y
        ),
        "right atrium": low_atrium,
        "carina": _rectangle((middle - 26, middle + 26), (-27.0, 20.0), -12.0),
        "abdomen": np.vstack([bellies, *domes]),
        "left cardiac silhouette": _clip_x(heart, middle + 4.0, 1.0),
        "right cardiac silhouette": _clip_x(heart, middle + 4.0, -1.0),
        "descending aorta": np.vstack([aorta, _at_table_depth(aorta)]),
    }


def _heart_edge(anatomy: Anatomy, side: int) -> float:
    heart = surfaces(anatomy.hearts[:4])
    low = heart[heart[:, 2] < anatomy.top[side] + 40.0]
    edge = heart if not len(low) else low
    return float(edge[:, 0].max() if side else edge[:, 0].min()) * (0.85 if side else 1.0)


def _rectangle(x: tuple[float, float], z: tuple[float, float], y: float) -> Floats:
    return np.array([(a, y, b) for a in x for b in z])


def _grown(points: Floats, radius: float) -> Floats:
    moves = ((radius, radius), (-radius, radius), (radius, -radius), (-radius, -radius))
    return np.vstack([points + np.array([a, 0.0, b]) for a, b in moves])


def _clip_x(points: Floats, x: float, sign: float) -> Floats:
    kept = points.copy()
    kept[:, 0] = np.maximum(kept[:, 0], x) if sign > 0 else np.minimum(kept[:, 0], x)
    return kept


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
