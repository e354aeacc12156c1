"""Grey values: min-max scaling, inversion, histogram equalisation, and Pillow images to grey.

The models are trained on MIMIC-CXR-JPG, whose images went through min-max scaling, inversion of
MONOCHROME1 and histogram equalisation to 8 bits (Johnson et al. 2019, arXiv:1901.07042).
Large images are processed in strips, because numpy converts indices to 8 bytes each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

FloatImage = npt.NDArray[np.float32]
ByteImage = npt.NDArray[np.uint8]
IntegerImage = npt.NDArray[np.integer[Any]]

LUMA = (0.299, 0.587, 0.114)
STRIP = 1 << 20  # pixels processed at once


def strips(height: int, width: int) -> Iterator[slice]:
    """Bands of rows with about a million pixels each."""
    rows = max(1, STRIP // max(1, width))
    for top in range(0, height, rows):
        yield slice(top, min(height, top + rows))


def equalise(image: ByteImage) -> ByteImage:
    """Spread the grey values evenly over 0 .. 255 (histogram equalisation).

    The darkest value of the image becomes 0, the brightest 255; a constant image is returned
    unchanged.

    Args:
        image: [H, W] uint8.

    Returns:
        [H, W] uint8.
    """
    return apply_table(equalisation_table(histogram(image, 256)), image)


def equalisation_table(counts: npt.NDArray[np.int64]) -> ByteImage:
    """The table of grey values that equalises a histogram. # [256] -> [256]"""
    below = np.cumsum(counts)
    total = int(below[-1])
    if np.count_nonzero(counts) < 2:
        return np.arange(256, dtype=np.uint8)
    first = below[np.flatnonzero(counts)[0]]
    table: ByteImage = np.rint(np.clip((below - first) * 255.0 / (total - first), 0, 255)).astype(
        np.uint8
    )
    return table


def min_max_scale(values: npt.NDArray[Any], *, is_inverted: bool) -> ByteImage:
    """Scale values from their minimum and maximum to 0 .. 255.

    Args:
        values: any shape, finite, at least two different values.
        is_inverted: the smallest value is white (MONOCHROME1).

    Returns:
        uint8 of the same shape.
    """
    exact = values.astype(np.float64)
    low, high = exact.min(), exact.max()
    fraction = (exact - low) / (high - low)
    scaled: ByteImage = np.rint((1.0 - fraction if is_inverted else fraction) * 255).astype(
        np.uint8
    )
    return scaled


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


def to_grey(decoded: Image.Image) -> FloatImage:
    """[H, W] float32 in [0, 1] from any mode of JPEG and PNG; transparent pixels are black.

    Files of 16 bits often use only 10, 12 or 14 of them: white is the largest value of the
    smallest number of bits that holds the brightest pixel.
    """
    white = 255
    if decoded.mode.startswith("I"):
        extrema: Any = decoded.getextrema()
        white = 2 ** max(8, int(extrema[1]).bit_length()) - 1
    image = np.empty((decoded.height, decoded.width), dtype=np.float32)
    for rows in strips(*image.shape):
        band = decoded.crop((0, rows.start, decoded.width, rows.stop))
        band.info = decoded.info
        image[rows] = to_unit_range(_grey_values(band), white)
    return image


def to_unit_range(values: npt.NDArray[Any], white: int) -> FloatImage:
    """Values 0 .. `white` as float32 in [0, 1]."""
    scaled: FloatImage = np.clip(values.astype(np.float32) / np.float32(white), 0.0, 1.0)
    return scaled


def _grey_values(decoded: Image.Image) -> npt.NDArray[Any]:
    if decoded.mode.startswith("I"):
        return np.asarray(decoded)
    if "transparency" in decoded.info or decoded.mode in {"LA", "RGBA", "PA"}:
        layer = decoded.convert("RGBA")
        black = Image.new("RGBA", layer.size, (0, 0, 0, 255))
        decoded = Image.alpha_composite(black, layer).convert("RGB")
    if decoded.mode in {"1", "L"}:
        return np.asarray(decoded.convert("L"))
    colours = np.asarray(decoded.convert("RGB")).astype(np.float32)
    values: npt.NDArray[Any] = colours @ np.asarray(LUMA, np.float32)
    return values
