"""Rows of CheXmask (OriginalResolution) for rendered films: landmarks, masks, quality.

The landmarks lie on ellipses that fill the boxes of the lungs and of the heart, with the four
points that touch the box, so that the boxes can be recovered. One row in twelve has a quality below
the limit of the authors. Both printed forms of the landmarks occur.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lapse.core.seeding import Part, derive_index
from lapse.phantom.rendering.boxes import FractionBox

MASK_HEADER = (
    "Image Index,Dice RCA (Mean),Dice RCA (Max),Landmarks,Left Lung,Right Lung,Heart,Height,Width"
)
NUM_POINTS = {"right lung": 44, "left lung": 50, "cardiac silhouette": 26}
LOW_QUALITY = 12  # one of so many rows


def mask_row(
    boxes: Mapping[str, FractionBox], side: int, key: tuple[Part, ...]
) -> tuple[str | int | float, ...]:
    """The cells after the image.

    Args:
        boxes: region -> box in fractions of the image.
        side: height and width of the image in pixels.
        key: identifies the row for the choice of quality and form.
    """
    points = {name: _ellipse(boxes[name], count, side) for name, count in NUM_POINTS.items()}
    quality = 0.55 if derive_index(LOW_QUALITY, "phantom/mask/quality", *key) == 0 else 0.93
    landmarks = np.concatenate(list(points.values()))
    if derive_index(2, "phantom/mask/form", *key):
        text = "[" + "\n ".join(f"[{x:.1f} {y:.1f}]" for x, y in landmarks) + "]"
    else:
        text = ",".join(f"{value:.1f}" for value in landmarks.ravel())
    masks = (_run_lengths(boxes[name], side) for name in ("left lung", "right lung"))
    heart = _run_lengths(boxes["cardiac silhouette"], side)
    return (quality, quality + 0.03, text, *masks, heart, side, side)


def _ellipse(box: FractionBox, count: int, side: int) -> NDArray[np.float64]:
    """Points on the ellipse that fills a box, the four extreme ones among them. # [count, 2]"""
    x_min, y_min, x_max, y_max = (value * side for value in box)
    angles = np.arange(count) * (2 * np.pi / count)
    angles[[0, count // 4, count // 2, 3 * count // 4]] = np.pi / 2 * np.arange(4)
    x = (x_min + x_max + (x_max - x_min) * np.cos(angles)) / 2
    y = (y_min + y_max + (y_max - y_min) * np.sin(angles)) / 2
    return np.stack([x, y], axis=1)


def _run_lengths(box: FractionBox, side: int) -> str:
    """The filled ellipse as pairs of start (from 1) and length, row by row."""
    x_min, y_min, x_max, y_max = (value * side for value in box)
    rows = np.arange(int(np.ceil(y_min)), int(y_max))
    height = np.clip(1 - ((2 * rows - y_min - y_max) / (y_max - y_min)) ** 2, 0, None)
    half = (x_max - x_min) / 2 * np.sqrt(height)
    first = np.ceil((x_min + x_max) / 2 - half).astype(int)
    last = np.floor((x_min + x_max) / 2 + half).astype(int)
    pairs = (
        f"{row * side + low + 1} {high - low + 1}"
        for row, low, high in zip(rows, first, last, strict=True)
        if high >= low
    )
    return " ".join(pairs)
