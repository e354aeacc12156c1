"""Projection from the body to the image: cone beam, patient rotation and a smooth warp.

    body (X to the patient's left, Y anterior, Z cranial, mm, origin at the carina)
      --rotation about Z and tilt about X, around the middle of the chest-->  world
      --cone beam from the source through the plane Y = 0-->  plane (x, z), mm
      --shift, roll, warp-->  image, x to the right, y down

The magnification depends on depth; image lengths are measured in the plane Y = 0. A camera is one
flat array (see `Slot`), which compiled kernels can read.
"""

from __future__ import annotations

from enum import IntEnum
from math import cos, radians, sin

import numpy as np

from lapse.phantom.patients.acquisition import Acquisition
from lapse.phantom.rendering.kernels import Floats, compiled

PIVOT_Z = -40.0
DETECTOR_GAP = 150.0  # mm from the plane Y = 0 to the detector
WARP_LENGTH = 420.0  # mm of one cycle


class Slot(IntEnum):
    """Positions in the camera array."""

    TURN = 0  # 9 numbers, the matrix from body to world
    SOURCE = 9  # Y of the source
    CENTRE = 10  # x and z of the image centre
    ROLL = 12  # cosine, sine
    PIXEL = 14  # mm per pixel
    SIZE = 15  # height, width in pixels
    WARP = 17  # 4 x 5 numbers
    END = 37


def image_shape(acquisition: Acquisition, size: int) -> tuple[int, int]:
    """Height and width in pixels; the longest side is `size`."""
    if acquisition.aspect >= 1.0:
        return max(1, round(size / acquisition.aspect)), size
    return size, max(1, round(size * acquisition.aspect))


def make_camera(acquisition: Acquisition, size: int, *, middle: float, scale: float) -> Floats:
    """The camera of an acquisition. # [37]

    `middle` is the height in mm of the central beam; `scale` adapts the field to the size of the
    patient (1 for an average adult).
    """
    camera = np.zeros(int(Slot.END))
    rotation, tilt = radians(acquisition.rotation), radians(acquisition.tilt)
    c, s = cos(rotation), sin(rotation)
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cos(tilt), -sin(tilt)], [0, sin(tilt), cos(tilt)]])
    camera[Slot.TURN : Slot.SOURCE] = (about_x @ about_z).ravel()
    distance = acquisition.source_distance - DETECTOR_GAP
    camera[Slot.SOURCE] = distance if acquisition.view == "AP" else -distance
    camera[Slot.CENTRE] = acquisition.shift[0]
    camera[Slot.CENTRE + 1] = middle + acquisition.shift[1]
    camera[Slot.ROLL] = cos(radians(acquisition.roll))
    camera[Slot.ROLL + 1] = sin(radians(acquisition.roll))
    height, width = image_shape(acquisition, size)
    camera[Slot.PIXEL] = acquisition.field * scale / size
    camera[Slot.SIZE] = height
    camera[Slot.SIZE + 1] = width
    camera[Slot.WARP :] = acquisition.warp
    return camera


def pixel_size(camera: Floats) -> float:
    """Millimetres per pixel."""
    return float(camera[Slot.PIXEL])


@compiled
def project(points: Floats, camera: Floats) -> Floats:
    """Column, row (pixels) and magnification of body points. # [n, 3] -> [n, 3]"""
    out = np.empty((points.shape[0], 3))
    source, pixel = camera[9], camera[14]
    for i in range(points.shape[0]):
        x, y, z = points[i, 0], points[i, 1], points[i, 2] - PIVOT_Z
        wx = camera[0] * x + camera[1] * y + camera[2] * z
        wy = camera[3] * x + camera[4] * y + camera[5] * z
        wz = camera[6] * x + camera[7] * y + camera[8] * z + PIVOT_Z
        scale = source / (source - wy)
        px = wx * scale - camera[10]
        pz = camera[11] + (wz - camera[11]) * scale - camera[11]
        qx = camera[12] * px - camera[13] * pz
        qz = camera[13] * px + camera[12] * pz
        ux, uz = qx, qz
        for _ in range(2):  # the warp maps the image to the plane: invert it by iteration
            sx, sz = 0.0, 0.0
            for k in range(4):
                w = 17 + 5 * k
                wave = np.sin(
                    6.2831853 / WARP_LENGTH * (camera[w + 2] * ux + camera[w + 3] * uz)
                    + camera[w + 4]
                )
                sx += camera[w] * wave
                sz += camera[w + 1] * wave
            ux, uz = qx - sx, qz - sz
        out[i, 0] = ux / pixel + 0.5 * camera[16] - 0.5
        out[i, 1] = 0.5 * camera[15] - uz / pixel - 0.5
        out[i, 2] = scale
    return out


@compiled
def rays(camera: Floats) -> Floats:
    """The ray of every pixel in the body: X(y) = a + b y, Z(y) = c + d y. # [H, W, 4]"""
    height, width = int(camera[15]), int(camera[16])
    out = np.empty((height, width, 4))
    pixel = camera[14]
    # the source in body coordinates, by the transposed matrix
    sy, sz = camera[9], camera[11] - PIVOT_Z
    s_x = camera[3] * sy + camera[6] * sz
    s_y = camera[4] * sy + camera[7] * sz
    s_z = camera[5] * sy + camera[8] * sz + PIVOT_Z
    # sin(kx + lz + p) = sin(kx + p) cos(lz) + cos(kx + p) sin(lz)
    across = np.empty((4, width, 2))
    down = np.empty((4, height, 2))
    for k in range(4):
        w = 17 + 5 * k
        for c in range(width):
            ux = (c + 0.5 - 0.5 * width) * pixel
            angle = 6.2831853 / WARP_LENGTH * camera[w + 2] * ux + camera[w + 4]
            across[k, c, 0], across[k, c, 1] = np.sin(angle), np.cos(angle)
        for r in range(height):
            uz = (0.5 * height - r - 0.5) * pixel
            angle = 6.2831853 / WARP_LENGTH * camera[w + 3] * uz
            down[k, r, 0], down[k, r, 1] = np.sin(angle), np.cos(angle)
    for r in range(height):
        for c in range(width):
            qx = (c + 0.5 - 0.5 * width) * pixel
            qz = (0.5 * height - r - 0.5) * pixel
            for k in range(4):
                wave = across[k, c, 0] * down[k, r, 1] + across[k, c, 1] * down[k, r, 0]
                qx += camera[17 + 5 * k] * wave
                qz += camera[18 + 5 * k] * wave
            px = camera[12] * qx + camera[13] * qz + camera[10]
            pz = -camera[13] * qx + camera[12] * qz + camera[11] - PIVOT_Z
            b_x = camera[0] * px + camera[6] * pz
            b_y = camera[1] * px + camera[7] * pz
            b_z = camera[2] * px + camera[8] * pz + PIVOT_Z
            inverse = 1.0 / (b_y - s_y)
            kx = (b_x - s_x) * inverse
            kz = (b_z - s_z) * inverse
            out[r, c, 0] = b_x - kx * b_y
            out[r, c, 1] = kx
            out[r, c, 2] = b_z - kz * b_y
            out[r, c, 3] = kz
    return out
