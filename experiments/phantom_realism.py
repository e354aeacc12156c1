"""Power spectrum and grey levels of simulated radiographs compared with a real one.

    python experiments/phantom_realism.py path/to/radiograph.dcm [images]

The radiograph is a frontal DICOM, JPEG or PNG file, which is measured and not copied. Its grey
levels are scaled between the .5 and 99.5 percentiles; the reader inverts MONOCHROME1.

The spectrum is that of the central square at 448 px with its mean removed and a Hann window. The
slopes are those of straight lines fitted to log power over log frequency in two bands, with the
power averaged over rings of equal frequency.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lapse.images.read import read_image
from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.patients.state import Visit
from lapse.phantom.rendering.kernels import Floats
from lapse.phantom.rendering.render import render

SIDE = 448  # px
BANDS = ((4, 30), (30, 120))  # cycles per image
REAL_SLOPES = (-3.16, -3.26)
"""Slopes of the real chest radiograph in pydicom-data 1.0.0 (RG1_UNCR.dcm)."""
NUM_BINS = 64


@dataclass(frozen=True, slots=True)
class ImageStatistics:
    """Slopes of the power spectrum in the two bands, and the grey-level histogram."""

    slopes: tuple[float, float]
    histogram: Floats  # [64], sums to 1

    def overlap(self, other: ImageStatistics) -> float:
        """Overlap of the grey-level histograms of two images, 0 .. 1."""
        return float(np.minimum(self.histogram, other.histogram).sum())


def measure(image: NDArray[np.uint8]) -> ImageStatistics:
    """The statistics of one image. # [H, W]"""
    histogram = np.histogram(image, NUM_BINS, (0, 256))[0] / image.size
    return ImageStatistics(spectrum_slopes(image), histogram)


def average(images: list[ImageStatistics]) -> ImageStatistics:
    """Median slopes and mean histogram of several images.

    Raises:
        ValueError: no images.
    """
    if not images:
        raise ValueError("no images to average: give at least one")
    slopes = np.median([item.slopes for item in images], axis=0)
    histogram = np.mean([item.histogram for item in images], axis=0)
    return ImageStatistics((float(slopes[0]), float(slopes[1])), histogram)


def spectrum_slopes(image: NDArray[np.uint8]) -> tuple[float, float]:
    """Slopes of log power over log frequency in the two bands. # [H, W]

    Raises:
        ValueError: the shorter side has fewer than 240 pixels, which 120 cycles need.
    """
    side = min(image.shape)
    if side < 2 * BANDS[1][1]:
        raise ValueError(
            f"an image side of {side} px is too small for 120 cycles: use at least 240"
        )
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = Image.fromarray(image[top : top + side, left : left + side].astype(np.float32))
    values = np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    window = np.hanning(SIDE)
    values = (values - values.mean()) * window[:, None] * window
    power = np.abs(np.fft.fft2(values)) ** 2
    cycles = np.fft.fftfreq(SIDE) * SIDE
    ring = np.rint(np.hypot(cycles[:, None], cycles[None])).astype(int)
    mean = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    slopes = []
    for low, high in BANDS:
        k = np.arange(low, high + 1)
        slopes.append(float(np.polyfit(np.log(k), np.log(mean[k]), 1)[0]))
    return slopes[0], slopes[1]


def scaled(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = np.percentile(image, (0.5, 99.5))
    tone = np.clip((image - low) / max(high - low, 1e-6), 0.0, 1.0)
    return np.asarray(np.rint(255 * tone), dtype=np.uint8)


def simulated(index: int) -> tuple[str, ImageStatistics]:
    acquisition = draw_acquisition(0, index, 0, 0)
    visit = Visit(index, 0, datetime(2150, 1, 1), (), ())
    image = render(draw_patient(0, index), visit, acquisition, 448).image
    return acquisition.view, measure(image)


def line(name: str, statistics: ImageStatistics, real: ImageStatistics) -> str:
    slopes = " ".join(
        f"{slope:6.2f} ({slope - other:+.2f})"
        for slope, other in zip(statistics.slopes, real.slopes, strict=True)
    )
    return f"{name:20s} {slopes}   overlap {statistics.overlap(real):.2f}"


def main(path: str, images: int = 48) -> None:
    real = measure(scaled(read_image(Path(path))))
    statistics = [simulated(index) for index in range(images)]
    bands = "   ".join(f"{low}-{high} cycles" for low, high in BANDS)
    print(f"{'slopes':20s} {bands}")
    print(line("the radiograph", real, real))
    print(line(f"simulated, {images}", average([item for _, item in statistics]), real))
    for view in ("PA", "AP"):
        kept = [item for name, item in statistics if name == view]
        print(line(f"  {view}, {len(kept)}", average(kept), real))
    best = max(item.overlap(real) for _, item in statistics)
    print(f"best overlap of a single simulated image {best:.2f}")


if __name__ == "__main__":
    main(sys.argv[1], *(int(word) for word in sys.argv[2:3]))
