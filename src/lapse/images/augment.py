"""Perturb the exposure of a radiograph: a change that must not change an answer.

Position (rotation, shift, scale), film (gamma, contrast, brightness) and noise are drawn by
hash-derived randomness, so that an image is always perturbed in the same way. The amounts are
typical of two frontal images of one patient, and small compared with any finding. A real second
exposure also moves the X-ray source, which pixels cannot show: where the states of a phantom are
available, render them again instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lapse.core.seeding import derive_seed, derive_uniform

ROTATION = 3.0  # degrees, at most, in both directions
SHIFT = 0.03  # fraction of the image size
SCALE = 0.04
GAMMA = 0.2  # exponent between 1 / 1.2 and 1.2
CONTRAST = 0.12
BRIGHTNESS = 8.0  # grey levels
NOISE = (1.0, 4.0)  # standard deviation in grey levels

Pixels = NDArray[np.uint8]


def perturb_exposure(pixels: Pixels, *key: str | int) -> Pixels:
    """An image as another exposure would show it; equal keys give equal pixels.

    Args:
        pixels: [S, S] uint8.
        key: seed and name of the image.

    Raises:
        ValueError: not a square of uint8.
    """
    if pixels.ndim != 2 or pixels.shape[0] != pixels.shape[1] or pixels.dtype != np.uint8:
        raise ValueError(
            f"the image to perturb must be [S, S] uint8, got {list(pixels.shape)} {pixels.dtype}"
        )

    def symmetric(limit: float, purpose: str) -> float:
        """Uniform in -limit .. limit."""
        return limit * (2.0 * derive_uniform(*key, "retake", purpose) - 1.0)

    moved = _moved(
        pixels,
        degrees=symmetric(ROTATION, "rotation"),
        scale=1.0 + symmetric(SCALE, "scale"),
        shift=(symmetric(SHIFT, "across"), symmetric(SHIFT, "down")),
    )
    grey = 255.0 * (moved / 255.0) ** ((1.0 + GAMMA) ** symmetric(1.0, "gamma"))
    grey = 127.5 + (grey - 127.5) * (1.0 + symmetric(CONTRAST, "contrast"))
    grey += symmetric(BRIGHTNESS, "brightness")
    low, high = NOISE
    deviation = low + (high - low) * derive_uniform(*key, "retake", "deviation")
    generator = np.random.Generator(np.random.PCG64(derive_seed(*key, "retake", "noise")))
    grey += deviation * generator.standard_normal(grey.shape)
    perturbed: Pixels = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return perturbed


def _moved(
    pixels: Pixels, *, degrees: float, scale: float, shift: tuple[float, float]
) -> NDArray[np.float64]:
    """Rotate about the centre, scale and shift (fractions of the size), with bilinear sampling.

    Positions outside the image repeat its border: a black wedge would reveal the perturbation.
    """
    size = pixels.shape[0]
    centre = (size - 1) / 2
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float64)
    down, across = rows - centre - shift[1] * size, columns - centre - shift[0] * size
    angle = np.deg2rad(degrees)
    x = centre + (np.cos(angle) * across + np.sin(angle) * down) / scale
    y = centre + (np.cos(angle) * down - np.sin(angle) * across) / scale
    x, y = np.clip(x, 0, size - 1), np.clip(y, 0, size - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, size - 1), np.minimum(top + 1, size - 1)
    part_x, part_y = x - left, y - top
    grey = pixels.astype(np.float64)
    upper = grey[top, left] * (1 - part_x) + grey[top, right] * part_x
    lower = grey[bottom, left] * (1 - part_x) + grey[bottom, right] * part_x
    mixed: NDArray[np.float64] = upper * (1 - part_y) + lower * part_y
    return mixed
