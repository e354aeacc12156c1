"""Thin structures as chains of projected discs: ribs, vessels, airways, tubes and wires.

A cylinder of radius r seen from the side has thickness 2 sqrt(r^2 - s^2) at distance s from its
axis. Discs of constant value at equal steps along the axis add up to this profile, also for a tube
that runs towards the source. A hollow tube is a disc minus a smaller disc. Discs smaller than a
pixel are enlarged to one pixel with the same mass.

A tube is a row (x0, y0, z0, r0, x1, y1, z1, r1, mu, wall, mu_inside): ends in body mm, radii at
both ends, attenuation per mm of the wall, thickness of the wall (0: solid), attenuation inside.
"""

from __future__ import annotations

import numpy as np

from lapse.phantom.rendering.camera import pixel_size, project
from lapse.phantom.rendering.kernels import Floats, Singles, compiled

NUM_TUBE_VALUES = 11
MIN_RADIUS = 0.62  # px


@compiled
def disc(image: Singles, u: float, v: float, radius: float, value: float) -> None:
    """Add a disc with a soft edge; a disc smaller than a pixel keeps its mass."""
    if radius < MIN_RADIUS:
        value *= (radius / MIN_RADIUS) ** 2
        radius = MIN_RADIUS
    reach = radius + 0.5
    top, bottom = max(0, int(np.ceil(v - reach))), min(image.shape[0] - 1, int(v + reach))
    left, right = max(0, int(np.ceil(u - reach))), min(image.shape[1] - 1, int(u + reach))
    inner = max(0.0, radius - 0.5) ** 2
    for r in range(top, bottom + 1):
        dv = (r - v) * (r - v)
        for c in range(left, right + 1):
            squared = dv + (c - u) * (c - u)
            if squared <= inner:
                image[r, c] += value
            elif squared < reach * reach:
                image[r, c] += value * (reach - np.sqrt(squared))


@compiled
def draw_tubes(image: Singles, tubes: Floats, ends: Floats, pixel: float) -> None:
    """Add all tubes; `ends` are the projected first ends followed by the last ends. # [2 n, 3]"""
    count = tubes.shape[0]
    height, width = image.shape
    for i in range(count):
        u0, v0, m0 = ends[i, 0], ends[i, 1], ends[i, 2] / pixel
        u1, v1, m1 = ends[count + i, 0], ends[count + i, 1], ends[count + i, 2] / pixel
        r0, r1 = tubes[i, 3] * m0, tubes[i, 7] * m1
        reach = max(r0, r1) + 1.0
        if max(u0, u1) < -reach or min(u0, u1) > width + reach:
            continue
        if max(v0, v1) < -reach or min(v0, v1) > height + reach:
            continue
        run = np.sqrt((u1 - u0) ** 2 + (v1 - v0) ** 2)
        length = np.sqrt(
            (tubes[i, 4] - tubes[i, 0]) ** 2
            + (tubes[i, 5] - tubes[i, 1]) ** 2
            + (tubes[i, 6] - tubes[i, 2]) ** 2
        )
        mu, wall, inside = tubes[i, 8], tubes[i, 9], tubes[i, 10]
        stride = 0.4 * min(r0, r1)
        if wall > 0.0:
            stride = min(stride, 1.9 * wall * m0, 2.0)
        steps = max(1, int(np.ceil(run / max(0.6, stride))))
        mass = length / steps
        for k in range(steps):
            t = (k + 0.5) / steps
            u, v = u0 + t * (u1 - u0), v0 + t * (v1 - v0)
            radius = r0 + t * (r1 - r0)
            disc(image, u, v, radius, mass * mu)
            if wall > 0.0:
                hollow = radius - wall * (m0 + t * (m1 - m0))
                if hollow > 0.0:
                    disc(image, u, v, hollow, mass * (inside - mu))


@compiled
def draw_blocks(image: Singles, blocks: Floats, ends: Floats, pixel: float) -> None:
    """Add flat rounded rectangles with bright edges: vertebrae, sternum, pacemaker generators.

    A block is (x, y, z, half width, half height, angle, value inside, additional value at the
    edge). Values are line integrals; the edge is 1.6 mm wide.
    """
    height, width = image.shape
    for i in range(blocks.shape[0]):
        u, v, m = ends[i, 0], ends[i, 1], ends[i, 2] / pixel
        a, b = blocks[i, 3] * m, blocks[i, 4] * m
        co, si = np.cos(blocks[i, 5]), np.sin(blocks[i, 5])
        reach = np.sqrt(a * a + b * b) + 1.0
        corner = 0.35 * min(a, b)
        edge = max(1.0, 1.6 * m)
        for r in range(max(0, int(v - reach)), min(height, int(v + reach) + 2)):
            for c in range(max(0, int(u - reach)), min(width, int(u + reach) + 2)):
                x = co * (c - u) - si * (r - v)
                y = si * (c - u) + co * (r - v)
                qx = max(0.0, abs(x) - a + corner)
                qy = max(0.0, abs(y) - b + corner)
                outside = np.sqrt(qx * qx + qy * qy) - corner
                if qx == 0.0 and qy == 0.0:
                    outside = max(abs(x) - a, abs(y) - b)
                cover = min(1.0, max(0.0, 0.5 - outside))
                rim = min(1.0, max(0.0, 1.0 + outside / edge))
                image[r, c] += cover * (blocks[i, 6] + blocks[i, 7] * rim)


def tubes_of(
    points: Floats,
    radii: Floats | float,
    mu: float,
    *,
    wall: float = 0.0,
    inside: float = 0.0,
) -> Floats:
    """The tubes along a polyline. # [n, 3] -> [n - 1, 11]"""
    rows = np.empty((len(points) - 1, NUM_TUBE_VALUES))
    radius = np.broadcast_to(np.asarray(radii, dtype=np.float64), (len(points),))
    rows[:, 0:3], rows[:, 3] = points[:-1], radius[:-1]
    rows[:, 4:7], rows[:, 7] = points[1:], radius[1:]
    rows[:, 8], rows[:, 9], rows[:, 10] = mu, wall, inside
    return rows


@compiled
def smooth_line(points: Floats, count: int) -> Floats:
    """`count` points on a Catmull-Rom spline through the given points. # [n, 3] -> [count, 3]"""
    last = points.shape[0] - 1
    out = np.empty((count, 3))
    for i in range(count):
        position = i / (count - 1) * last
        k = min(int(position), last - 1)
        t = position - k
        for axis in range(3):
            p1, p2 = points[k, axis], points[k + 1, axis]
            p0 = points[k - 1, axis] if k > 0 else 2 * p1 - p2
            p3 = points[k + 2, axis] if k + 1 < last else 2 * p2 - p1
            out[i, axis] = p1 + 0.5 * t * (
                (p2 - p0) + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * p1 - p0 - 3 * p2 + p3))
            )
    return out


def paint_tubes(image: Singles, tubes: Floats, camera: Floats) -> None:
    """Project tubes and add their line integrals to the image."""
    if len(tubes):
        ends = project(np.vstack([tubes[:, 0:3], tubes[:, 4:7]]), camera)
        draw_tubes(image, tubes, ends, pixel_size(camera))


def paint_blocks(image: Singles, blocks: Floats, camera: Floats) -> None:
    """Project blocks and add their line integrals to the image."""
    if len(blocks):
        draw_blocks(image, blocks, project(blocks[:, 0:3].copy(), camera), pixel_size(camera))


@compiled
def saturated(image: Singles, limit: float) -> Singles:
    """Compress values towards a limit, so that crossing structures do not form bright knots."""
    out = np.empty_like(image)
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            value = image[r, c]
            out[r, c] = value if value <= 0.0 else value / (1.0 + value / limit)
    return out
