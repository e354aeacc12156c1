"""Lead markers and view labels: letters as strokes on a 4 x 6 grid, drawn at any size.

A marker ("L", "R") is on the side that it names; a label ("PORTABLE", "AP", "SUPINE") is in the
upper right corner. Both depend only on the acquisition, never on the findings.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lapse.phantom.patients.acquisition import Acquisition
from lapse.phantom.rendering.kernels import Singles
from lapse.phantom.rendering.splat import disc

Stroke = tuple[tuple[float, float], ...]

NEAR_WHITE = 236.0  # grey level of a marker
OPACITY = 0.6  # of one disc of a stroke
BOX_OPACITY = 0.35  # of the box behind a marker or label of a portable film

_ROUND: Stroke = ((0, 0), (2.6, 0), (3.7, 0.8), (3.7, 2.2), (2.6, 3), (0, 3))
_CURVES: Stroke = ((4, 0.7), (2.8, 0), (1.2, 0), (0, 1), (0.4, 2.5), (3.6, 3.5))
LETTERS: dict[str, tuple[Stroke, ...]] = {
    "A": (((0, 6), (2, 0), (4, 6)), ((0.8, 4), (3.2, 4))),
    "B": (((0, 0), (0, 6)), _ROUND, ((2.6, 3), (4, 3.9), (4, 5.2), (2.6, 6), (0, 6))),
    "E": (((4, 0), (0, 0), (0, 6), (4, 6)), ((0, 3), (3, 3))),
    "I": (((2, 0), (2, 6)),),
    "L": (((0, 0), (0, 6), (3.8, 6)),),
    "N": (((0, 6), (0, 0), (4, 6), (4, 0)),),
    "O": (
        ((1.3, 0), (2.7, 0), (4, 1.4), (4, 4.6), (2.7, 6), (1.3, 6), (0, 4.6), (0, 1.4), (1.3, 0)),
    ),
    "P": (((0, 6), (0, 0)), _ROUND),
    "R": (((0, 6), (0, 0)), _ROUND, ((2, 3), (4, 6))),
    "S": ((*_CURVES, (4, 5), (2.8, 6), (1, 6), (0, 5.3)),),
    "T": (((0, 0), (4, 0)), ((2, 0), (2, 6))),
    "U": (((0, 0), (0, 4.6), (1.3, 6), (2.7, 6), (4, 4.6), (4, 0)),),
}


def _draw_text(image: Singles, text: str, left: float, top: float, height: float) -> None:
    """Add letters to an image of opacities; `left`, `top` and `height` in pixels."""
    unit = height / 6.0
    pen = max(0.55, 0.42 * unit)
    for letter in text:
        for stroke in LETTERS[letter]:
            points = np.array(stroke) * unit
            for (x0, y0), (x1, y1) in pairwise(points):
                steps = max(1, int(np.hypot(x1 - x0, y1 - y0) / (0.5 * pen)))
                for k in range(steps + 1):
                    t = k / steps
                    u, v = left + x0 + t * (x1 - x0), top + y0 + t * (y1 - y0)
                    disc(image, float(u), float(v), float(pen), OPACITY)
        left += 5.6 * unit


def _draw_box(image: Singles, left: float, top: float, width: float, height: float) -> None:
    """A box with a margin of a quarter of its height; lengths in pixels."""
    margin = 0.25 * height
    rows = slice(max(0, round(top - margin)), max(0, round(top + height + margin)))
    columns = slice(max(0, round(left - margin)), max(0, round(left + width + margin)))
    image[rows, columns] = BOX_OPACITY


def overlay(image: NDArray[np.uint8], acquisition: Acquisition) -> NDArray[np.uint8]:
    """The image with the markers and the label of the acquisition. # [H, W]"""
    height, width = image.shape
    letters = np.zeros((height, width), dtype=np.float32)
    is_boxed = acquisition.portable is not None and acquisition.portable.is_boxed
    size = max(5.0, 0.034 * max(height, width))
    texts = []
    if acquisition.marker:
        column, row = acquisition.marker_at
        x = column if acquisition.marker == "R" else 1.0 - column
        texts.append((acquisition.marker, x * width - 0.33 * size, row * height, size))
    if acquisition.label:
        small = 0.6 * size
        left = width * 0.97 - len(acquisition.label) * 0.94 * small
        texts.append((acquisition.label, left, 0.025 * height, small))
    for text, left, top, tall in texts:
        if is_boxed:
            _draw_box(letters, left, top, (len(text) * 5.6 - 1.6) * tall / 6.0, tall)
        _draw_text(letters, text, left, top, tall)
    opacity = np.minimum(letters, 1.0)
    return np.asarray(np.rint(image + opacity * (NEAR_WHITE - image)), dtype=np.uint8)
