"""The same chest under another exposure, imitated from its pixels: what must not change an answer.

Position (rotation, shift, scale), film (gamma, contrast, brightness) and noise are drawn by
counted randomness, so that one image is always taken again in the same way. The amounts are
those of two ordinary frontal images of one patient, small against any finding. A true second
exposure also moves the source, which pixels cannot show: where states of a phantom are at hand,
render them again instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lapse.core.seeding import derive_seed, derive_uniform

ROTATION = 3.0  # degrees, at most, to either side
SHIFT = 0.03  # of the side
SCALE = 0.04
GAMMA = 0.2  # exponent between 1 / 1.2 and 1.2
CONTRAST = 0.12
BRIGHTNESS = 8.0  # grey levels
NOISE = (1.0, 4.0)  # standard deviation in grey levels

Pixels = NDArray[np.uint8]


def perturb_exposure(pixels: Pixels, *key: str | int) -> Pixels:
    """An image [S, S] uint8 as another exposure would show it; equal keys, equal pixels.

    Args:
        pixels: [S, S] uint8.
        key: seed and name of the image.

    Raises:
        ValueError: not a square of uint8.
    """
    if pixels.ndim != 2 or pixels.shape[0] != pixels.shape[1] or pixels.dtype != np.uint8:
        raise ValueError(
            f"an image to take again is [S, S] uint8, got {list(pixels.shape)} {pixels.dtype}"
        )

    def around(limit: float, purpose: str) -> float:
        return limit * (2.0 * derive_uniform(*key, "retake", purpose) - 1.0)

    moved = _moved(
        pixels,
        degrees=around(ROTATION, "rotation"),
        scale=1.0 + around(SCALE, "scale"),
        shift=(around(SHIFT, "across"), around(SHIFT, "down")),
    )
    grey = 255.0 * (moved / 255.0) ** ((1.0 + GAMMA) ** around(1.0, "gamma"))
    grey = 127.5 + (grey - 127.5) * (1.0 + around(CONTRAST, "contrast"))
    grey += around(BRIGHTNESS, "brightness")
    low, high = NOISE
    deviation = low + (high - low) * derive_uniform(*key, "retake", "deviation")
    generator = np.random.Generator(np.random.PCG64(derive_seed(*key, "retake", "noise")))
    grey += deviation * generator.standard_normal(grey.shape)
    taken: Pixels = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return taken


def _moved(
    pixels: Pixels, *, degrees: float, scale: float, shift: tuple[float, float]
) -> NDArray[np.float64]:
    """Rotated about the centre, scaled and shifted (fractions of the side); bilinear.

    What comes into view from outside repeats the border: a black wedge would be a cue.
    """
    side = pixels.shape[0]
    centre = (side - 1) / 2
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float64)
    down, across = rows - centre - shift[1] * side, columns - centre - shift[0] * side
    turn = np.deg2rad(degrees)
    x = centre + (np.cos(turn) * across + np.sin(turn) * down) / scale
    y = centre + (np.cos(turn) * down - np.sin(turn) * across) / scale
    x, y = np.clip(x, 0, side - 1), np.clip(y, 0, side - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, side - 1), np.minimum(top + 1, side - 1)
    part_x, part_y = x - left, y - top
    grey = pixels.astype(np.float64)
    upper = grey[top, left] * (1 - part_x) + grey[top, right] * part_x
    lower = grey[bottom, left] * (1 - part_x) + grey[bottom, right] * part_x
    mixed: NDArray[np.float64] = upper * (1 - part_y) + lower * part_y
    return mixed
