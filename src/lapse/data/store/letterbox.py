"""Convert boxes between an image and its letterboxed square.

The letterbox is that of `lapse.images.resize`. A squash keeps fractions, a letterbox does not:

    x of the square = (left + x of the image * width in the square) / S
"""

from __future__ import annotations

from lapse.core.types import Box
from lapse.images.resize import letterbox_size


def letterboxed(box: Box, height: int, width: int, size: int) -> Box:
    """The box in fractions of the square, from fractions of the image.

    Args:
        box: fractions of the original image.
        height: of the original image in pixels.
        width: of the original image in pixels.
        size: side of the square in pixels.

    >>> letterboxed(Box(0.0, 0.0, 1.0, 1.0), 100, 50, 448)
    Box(x_min=0.25, y_min=0.0, x_max=0.75, y_max=1.0)

    Raises:
        ValueError: a length is below 1.
    """
    left, top, wide, high = _position(height, width, size)
    return Box(
        (left + box.x_min * wide) / size,
        (top + box.y_min * high) / size,
        (left + box.x_max * wide) / size,
        (top + box.y_max * high) / size,
    )


def unletterboxed(box: Box, height: int, width: int, size: int) -> Box | None:
    """The box in fractions of the image, from fractions of the square.

    The part on the black border is cut off; None if no part of the box is on the image.
    Arguments and errors are those of `letterboxed`.
    """
    left, top, wide, high = _position(height, width, size)
    x_min, x_max = (_clipped((x * size - left) / wide) for x in (box.x_min, box.x_max))
    y_min, y_max = (_clipped((y * size - top) / high) for y in (box.y_min, box.y_max))
    if x_min >= x_max or y_min >= y_max:
        return None
    return Box(x_min, y_min, x_max, y_max)


def _clipped(value: float) -> float:
    return min(1.0, max(0.0, value))


def _position(height: int, width: int, size: int) -> tuple[int, int, int, int]:
    """Left, top, width and height of the image in the square, in pixels of the square."""
    if min(height, width, size) < 1:
        raise ValueError(
            f"an image of {height} x {width} in a square of {size}: lengths are at least 1 pixel"
        )
    high, wide = letterbox_size(height, width, size)
    return (size - wide) // 2, (size - high) // 2, wide, high
