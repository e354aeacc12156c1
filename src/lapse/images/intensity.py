"""Grey values: min-max scaling, inversion and equalisation, and the grey of any Pillow image.

The models are used to MIMIC-CXR-JPG, whose images went through min-max scaling, inversion of
MONOCHROME1 and histogram equalisation to 8 bits (Johnson et al. 2019, arXiv:1901.07042).
Large images pass in strips: numpy turns indices into 8 bytes each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Whole = npt.NDArray[np.integer[Any]]

LUMA = (0.299, 0.587, 0.114)
STRIP = 1 << 20  # pixels handled at once


def strips(height: int, width: int) -> Iterator[slice]:
    """Bands of rows with about a million pixels each."""
    rows = max(1, STRIP // max(1, width))
    for top in range(0, height, rows):
        yield slice(top, min(height, top + rows))


def equalise(image: Bytes) -> Bytes:
    """Spread the grey values evenly over 0 .. 255 (histogram equalisation).

    The darkest value present becomes 0, the brightest 255; a constant image is returned as it
    is.

    Args:
        image: [H, W] uint8.

    Returns:
        [H, W] uint8.
    """
    return lookup(equalising(histogram(image, 256)), image)


def equalising(counts: npt.NDArray[np.int64]) -> Bytes:
    """The table of grey values that equalises a histogram. # [256] -> [256]"""
    below = np.cumsum(counts)
    total = int(below[-1])
    if np.count_nonzero(counts) < 2:
        return np.arange(256, dtype=np.uint8)
    first = below[np.flatnonzero(counts)[0]]
    table: Bytes = np.rint(np.clip((below - first) * 255.0 / (total - first), 0, 255)).astype(
        np.uint8
    )
    return table


def stretch(values: npt.NDArray[Any], *, is_inverted: bool) -> Bytes:
    """Min-max scaling to 0 .. 255, the brightest first where the values are inverted.

    Args:
        values: any shape, finite, at least two different ones.
        is_inverted: the smallest value is white (MONOCHROME1).

    Returns:
        uint8 of the same shape.
    """
    exact = values.astype(np.float64)
    low, high = exact.min(), exact.max()
    share = (exact - low) / (high - low)
    scaled: Bytes = np.rint((1.0 - share if is_inverted else share) * 255).astype(np.uint8)
    return scaled


def histogram(image: Whole, size: int, lowest: int = 0) -> npt.NDArray[np.int64]:
    """How often each value from `lowest` on stands in an image. # [H, W] -> [size]"""
    counts = np.zeros(size, dtype=np.int64)
    for rows in strips(*image.shape):
        band = image[rows].astype(np.int64).reshape(-1) - lowest
        counts += np.bincount(band, minlength=size)
    return counts


def lookup(table: Bytes, image: Whole, lowest: int = 0) -> Bytes:
    """Every value of an image replaced by its entry in a table. # [H, W]"""
    found = np.empty(image.shape, dtype=np.uint8)
    for rows in strips(*image.shape):
        found[rows] = table[image[rows].astype(np.int64) - lowest]
    return found


def grey(decoded: Image.Image) -> Floats:
    """[H, W] float32 in [0, 1] from any mode that JPEG and PNG have; transparent is black.

    Sixteen-bit files often use only 10, 12 or 14 bits: white is the top of the smallest number
    of bits that holds the brightest pixel.
    """
    white = 255
    if decoded.mode.startswith("I"):
        extrema: Any = decoded.getextrema()
        white = 2 ** max(8, int(extrema[1]).bit_length()) - 1
    image = np.empty((decoded.height, decoded.width), dtype=np.float32)
    for rows in strips(*image.shape):
        band = decoded.crop((0, rows.start, decoded.width, rows.stop))
        band.info = decoded.info
        image[rows] = unit(_grey_values(band), white)
    return image


def unit(values: npt.NDArray[Any], white: int) -> Floats:
    """Values 0 .. `white` as float32 in [0, 1]."""
    scaled: Floats = np.clip(values.astype(np.float32) / np.float32(white), 0.0, 1.0)
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
