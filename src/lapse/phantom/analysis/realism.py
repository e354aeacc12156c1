"""How near simulated radiographs come to a real one: slopes of the power spectrum, grey levels.

The middle square at 448 px, its mean taken away, a Hann window, the mean power of each ring of
frequencies; slopes of straight lines through log power over log frequency in two bands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lapse.phantom.rendering.kernels import Floats

SIDE = 448  # px
BANDS = ((4, 30), (30, 120))  # cycles per image
REAL_SLOPES = (-3.16, -3.26)
"""Of the one real chest radiograph that pydicom-data 1.0.0 ships (RG1_UNCR.dcm), as
lapse.images reads it: experiments/phantom_yardsticks.py."""
GREYS = 64  # bins of a histogram


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """Slopes of the two bands and the shares of the grey levels."""

    slopes: tuple[float, float]
    greys: Floats  # [64], sums to 1

    def overlap(self, other: Yardsticks) -> float:
        """The area that two grey-level histograms share, 0 .. 1."""
        return float(np.minimum(self.greys, other.greys).sum())


def measure(image: NDArray[np.uint8]) -> Yardsticks:
    """Slopes and grey levels of one image. # [H, W]"""
    shares = np.histogram(image, GREYS, (0, 256))[0] / image.size
    return Yardsticks(spectrum_slopes(image), shares)


def average(images: list[Yardsticks]) -> Yardsticks:
    """Median slopes and mean histogram of several images.

    Raises:
        ValueError: no images.
    """
    if not images:
        raise ValueError("no images to average: give at least one")
    slopes = np.median([item.slopes for item in images], axis=0)
    greys = np.mean([item.greys for item in images], axis=0)
    return Yardsticks((float(slopes[0]), float(slopes[1])), greys)


def spectrum_slopes(image: NDArray[np.uint8]) -> tuple[float, float]:
    """Slopes of log power over log frequency in the two bands. # [H, W]

    Raises:
        ValueError: the shorter side has fewer than 240 pixels, too few for 120 cycles.
    """
    side = min(image.shape)
    if side < 2 * BANDS[1][1]:
        raise ValueError(f"an image side of {side} px holds no 120 cycles: use at least 240")
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = Image.fromarray(image[top : top + side, left : left + side].astype(np.float32))
    values = np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    window = np.hanning(SIDE)
    values = (values - values.mean()) * window[:, None] * window
    power = np.abs(np.fft.fft2(values)) ** 2
    cycles = np.fft.fftfreq(SIDE) * SIDE
    ring = np.rint(np.hypot(cycles[:, None], cycles[None])).astype(int)
    mean = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    found = []
    for low, high in BANDS:
        k = np.arange(low, high + 1)
        found.append(float(np.polyfit(np.log(k), np.log(mean[k]), 1)[0]))
    return found[0], found[1]
