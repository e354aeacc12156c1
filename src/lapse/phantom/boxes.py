"""The boxes of the named regions, from the projected anatomy of the exposure.

Each region is a set of body points on the outline of its structure; its box is the smallest
that holds their projections, in fractions of the image, cut at the image's edges. A region of
which too little is in the field is absent.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lapse.phantom.anatomy import SIGNS, Anatomy
from lapse.phantom.camera import project
from lapse.phantom.kernels import Floats
from lapse.phantom.volumes import AORTA_Y, Column

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


def _side_outlines(anatomy: Anatomy, side: int) -> dict[str, Floats]:
    """Lungs, zones, hila, angles and hemidiaphragms of one side."""
    sign, word = SIGNS[side], SIDE_NAMES[side]
    apex, top, sulcus = anatomy.apex, anatomy.top[side], anatomy.sulcus[side]
    hx, hz = anatomy.hila[side]

    def lung(low: float, high: float) -> Floats:
        points = []
        for z in np.linspace(low, high, 12):
            middle = anatomy.at(Column.MIDDLE, z)
            y = anatomy.at(Column.CAVITY_Y, z)
            outer = max(anatomy.half_width(side, z), 12.0)
            points += [(middle + sign * 8.0, y, z), (middle + sign * outer, y, z)]
        return np.array(points)

    ceiling = apex - 1.0
    upper, lower = hz + 0.22 * (apex - hz), hz - 0.36 * (hz - top)
    wall = anatomy.half_width(side, sulcus + 12)
    middle = anatomy.at(Column.MIDDLE, sulcus)
    y = anatomy.at(Column.CAVITY_Y, sulcus)
    angle = [
        (middle + sign * x, y, z) for x in (wall - 46, wall) for z in (sulcus - 8, sulcus + 36)
    ]
    inner = anatomy.domes[side, 0] - sign * 0.5 * anatomy.half_width(side, -80.0)
    dome = [
        (inner + sign * 10, 12.0, top),
        (middle + sign * wall, 12.0, top - 2),
        (inner + sign * 10, 12.0, sulcus),
        (middle + sign * wall, 0.0, sulcus),
    ]
    belly = anatomy.half_width(side, top) + 4.0
    return {
        f"{word} lung": lung(sulcus, ceiling),
        f"{word} upper lung zone": lung(upper, ceiling),
        f"{word} mid lung zone": lung(lower, upper),
        f"{word} lower lung zone": lung(sulcus, lower),
        f"{word} apical zone": lung(apex - 42.0 * anatomy.patient.height, ceiling),
        f"{word} hilar structures": _rectangle(
            (hx - sign * 16, hx + sign * 27), (hz - 40, hz + 28), -5.0
        ),
        f"{word} costophrenic angle": np.array(angle),
        f"{word} hemidiaphragm": np.array(dome),
        f"{word} cardiophrenic angle": _rectangle(
            (_heart_edge(anatomy, side) - sign * 16, _heart_edge(anatomy, side) + sign * 18),
            (top - 26, top + 16),
            15.0,
        ),
        f"{word} upper abdomen": _rectangle((middle, middle + sign * belly), (-300.0, top), 10.0),
    }


def _middle_outlines(anatomy: Anatomy) -> dict[str, Floats]:
    size = anatomy.patient.height
    apex = anatomy.apex
    hearts = anatomy.hearts
    heart = _ellipsoids(hearts[:5])
    middle = anatomy.at(Column.MIDDLE, 0.0)
    right = anatomy.at(Column.MEDIASTINUM_R, 20.0)
    left_edge = float(_ellipsoids(hearts[6:8])[:, 0].max())
    arch = _ellipsoids(hearts[6:7])
    arch_x = (float(hearts[7, 0]) - 8.0, left_edge + 2)
    trunk = np.array(
        [(middle + x, -8.0, z) for x in (-right, right + 4) for z in (0.0, 0.97 * apex)]
    )
    center = middle + 4.0
    spine = np.array(
        [
            (anatomy.at(Column.SPINE_X, z) + x, -62.0, z)
            for z in np.linspace(-330.0, 240.0, 58)
            for x in (-30.0, 30.0)
        ]
    )
    ra = _ellipsoids(hearts[1:2])
    edge = float(ra[:, 0].min())
    aorta = np.array(
        [
            (anatomy.at(Column.AORTA_X, z) + x * anatomy.at(Column.AORTA_R, z), AORTA_Y, z)
            for z in np.linspace(anatomy.top[1] - 8, 26.0, 30)
            for x in (-1.0, 1.0)
        ]
    )
    join = float(ra[:, 2].max())
    abdomen = [
        (middle + sign * (anatomy.half_width(side, anatomy.top[side]) + 5), 0.0, z)
        for side, sign in enumerate(SIGNS)
        for z in (-330.0, anatomy.top[side])
    ]
    return {
        "trachea": _rectangle((middle - 15, middle + 15), (-4.0, 128.0), -14.0),
        "spine": spine,
        "aortic arch": np.vstack([_rectangle(arch_x, (12.0, 26.0), -10.0), arch]),
        "mediastinum": np.vstack([heart, trunk, arch]),
        "upper mediastinum": np.vstack([trunk, arch]),
        "svc": _rectangle((middle - right - 5, middle - 9), (join - 4, 66 * size), 6.0),
        "cardiac silhouette": heart,
        "cavoatrial junction": _rectangle((edge + 2, edge + 32), (join - 19, join + 11), 8.0),
        "right atrium": _rectangle(
            (edge, edge + 0.62 * float(np.ptp(ra[:, 0]))),
            (float(ra[:, 2].min()), join - 4),
            10.0,
        ),
        "carina": _rectangle((middle - 24, middle + 24), (-24.0, 16.0), -12.0),
        "abdomen": np.array(abdomen),
        "left cardiac silhouette": _clip_x(heart, center, 1.0),
        "right cardiac silhouette": _clip_x(heart, center, -1.0),
        "descending aorta": aorta,
    }


def _heart_edge(anatomy: Anatomy, side: int) -> float:
    heart = _ellipsoids(anatomy.hearts[:4])
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


def _ellipsoids(solids: Floats | Iterable[Floats]) -> Floats:
    """Points on the outlines of ellipsoids, in their frontal planes."""
    angle = np.linspace(0.0, 2 * np.pi, 48, endpoint=False)
    points = []
    for solid in solids:
        p, q = solid[3] * np.cos(angle), solid[5] * np.sin(angle)
        x = solid[0] + solid[6] * p + solid[7] * q
        z = solid[2] - solid[7] * p + solid[6] * q
        points.append(np.stack([x, np.full_like(x, solid[1]), z], axis=1))
    return np.vstack(points)
