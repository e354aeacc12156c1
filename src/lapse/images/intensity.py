"""Grey values: min-max scaling to 8 bits, histogram equalisation, and images that are no film.

The models are trained on MIMIC-CXR-JPG, whose images went through min-max scaling, inversion of
MONOCHROME1 and histogram equalisation to 8 bits (Johnson et al. 2019, arXiv:1901.07042; the
authors' conversion truncates when it scales). Every image of every format ends with the same
equalisation. Large arrays are processed in strips, because numpy converts indices to 8 bytes each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageStat

from lapse.images.errors import ImageError

FloatImage = npt.NDArray[np.float32]
ByteImage = npt.NDArray[np.uint8]
IntegerImage = npt.NDArray[np.integer[Any]]

STRIP = 1 << 20  # pixels processed at once
ROUNDING = 1e-6  # of a grey level, so that exact levels survive floating-point arithmetic
THUMBNAIL = 32  # side of the thumbnail that shows whether an image has any structure
# The thumbnail of a film has .6 to .95 of the variance of its pixels, that of noise below .07.
MIN_STRUCTURE = 0.1
PERCENTILES = (0.005, 0.995)  # of the pixels; black and white of "percentile"


def strips(height: int, width: int) -> Iterator[slice]:
    """Bands of rows with about a million pixels each."""
    rows = max(1, STRIP // max(1, width))
    for top in range(0, height, rows):
        yield slice(top, min(height, top + rows))


def equalise(image: Image.Image) -> Image.Image:
    """Spread the grey values evenly over 0 .. 255 (histogram equalisation).

    The darkest value of the image becomes 0, the brightest 255; a constant image is returned
    unchanged.

    Args:
        image: a Pillow image of mode "L".
    """
    counts = np.asarray(image.histogram(), np.int64)
    if np.count_nonzero(counts) < 2:
        return image
    below = np.cumsum(counts)
    first = below[np.flatnonzero(counts)[0]]
    levels = np.clip((below - first) * 255.0 / (below[-1] - first), 0, 255)
    return image.point(np.rint(levels).astype(np.uint8).tolist())


def min_max_scale(values: npt.NDArray[Any]) -> ByteImage:
    """Scale values from their minimum and maximum to 0 .. 255, truncated.

    Args:
        values: any shape, finite, at least two different values.

    Returns:
        uint8 of the same shape.
    """
    exact = values.astype(np.float64)
    low, high = exact.min(), exact.max()
    scaled: ByteImage = ((exact - low) * 255 / (high - low) + ROUNDING).astype(np.uint8)
    return scaled


def equalise_film(name: Path | str, image: Image.Image) -> Image.Image:
    """Equalise a grey image, and refuse one without a film in it.

    Args:
        name: of the image, for errors.
        image: a Pillow image of mode "L".

    Raises:
        ImageError: blank (one grey value), noise (no structure at 32 x 32 pixels).
    """
    if np.count_nonzero(image.histogram()) < 2:
        raise ImageError(
            "blank", f"{name} is blank: all its pixels are one grey; export the image again"
        )
    equalised = equalise(image)
    factors = max(1, image.width // THUMBNAIL), max(1, image.height // THUMBNAIL)
    thumbnail = np.asarray(equalised.reduce(factors), np.float64)
    structure = float(thumbnail.var() / ImageStat.Stat(equalised).var[0])
    if structure < MIN_STRUCTURE:
        raise ImageError(
            "noise",
            f"{name} is noise and not a film: a thumbnail has {structure:.3f} of the variance of "
            f"its pixels, and at least {MIN_STRUCTURE} is needed; export the image again",
        )
    return equalised


def percentile_window(counts: npt.NDArray[np.int64]) -> tuple[int, int]:
    """The positions of black and white in a histogram, from PERCENTILES of its pixels.

    An image whose pixels are nearly all of one grey keeps its darkest and its brightest value.
    """
    below = np.cumsum(counts)
    low, high = (int(np.searchsorted(below, part * below[-1])) for part in PERCENTILES)
    if low == high:
        levels = np.flatnonzero(counts)
        low, high = int(levels[0]), int(levels[-1])
    return low, high


def histogram(image: IntegerImage, size: int, lowest: int = 0) -> npt.NDArray[np.int64]:
    """How often each of `size` values from `lowest` on occurs. # [H, W] -> [size]"""
    counts = np.zeros(size, dtype=np.int64)
    for rows in strips(*image.shape):
        band = image[rows].astype(np.int64).reshape(-1) - lowest
        counts += np.bincount(band, minlength=size)
    return counts


def apply_table(table: ByteImage, image: IntegerImage, lowest: int = 0) -> ByteImage:
    """Replace every value of an image by its entry in a table. # [H, W]"""
    result = np.empty(image.shape, dtype=np.uint8)
    for rows in strips(*image.shape):
        result[rows] = table[image[rows].astype(np.int64) - lowest]
    return result


def to_unit_range(image: Image.Image) -> FloatImage:
    """Grey values 0 .. 255 as float32 in [0, 1]. # [H, W]"""
    return np.asarray(image, np.float32) / np.float32(255)
