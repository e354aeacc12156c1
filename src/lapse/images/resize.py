"""One grey image -> a square of `size` pixels, squashed or letterboxed. Bicubic, antialiased."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lapse.images.intensity import Bytes, Floats, strips

Part = tuple[float, float, float, float]  # left, top, right, bottom in pixels


def resize_square(image: Floats | Bytes, size: int) -> Bytes:
    """Squash an image to a square; fractions of its sides stay what they were.

    Args:
        image: [H, W] float32 in [0, 1], or uint8.
        size: side of the square in pixels.

    Returns:
        [size, size] uint8.
    """
    return scaled(image, size, size)


def letterbox(image: Floats | Bytes, size: int) -> Bytes:
    """Fit an image into a black square, its proportions kept, as Chest ImaGenome did.

    Scale `size / max(H, W)`, sides rounded down, half of the free space left and above.

    Args:
        image: [H, W] float32 in [0, 1], or uint8.
        size: side of the square in pixels.

    Returns:
        [size, size] uint8.
    """
    height, width = fitted(image.shape[0], image.shape[1], size)
    return boxed(scaled(image, height, width), size)


def fitted(height: int, width: int, size: int) -> tuple[int, int]:
    """The sides of an image inside its letterbox.

    >>> fitted(100, 200, 40)
    (20, 40)
    """
    scale = size / max(height, width)
    return max(1, int(height * scale)), max(1, int(width * scale))


def boxed(image: Bytes, size: int) -> Bytes:
    """A fitted image in the middle of its black square. # [H, W] -> [size, size]"""
    height, width = image.shape
    square = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = image
    return square


def scaled(
    image: Floats | Bytes | Image.Image, height: int, width: int, part: Part | None = None
) -> Bytes:
    """An image of any size at another. # [H, W] -> [height, width] uint8

    Args:
        image: [H, W] float32 in [0, 1], or uint8, or a grey picture of 8 bits.
        height: of the result.
        width: of the result.
        part: left, top, right, bottom of what is scaled, in pixels of the image; default: all.

    Raises:
        ValueError: the image has colours, or the new size no pixels.
    """
    if height < 1 or width < 1:
        raise ValueError(f"an image of {height} x {width} pixels was asked for: at least 1 x 1")
    picture = image if isinstance(image, Image.Image) else _picture(image)
    resized = np.array(picture.resize((width, height), Image.Resampling.BICUBIC, box=part))
    if resized.dtype == np.uint8:
        return resized
    rounded = np.empty((height, width), dtype=np.uint8)
    for rows in strips(height, width):
        rounded[rows] = np.rint(np.clip(resized[rows] * np.float32(255), 0, 255))
    return rounded


def _picture(image: Floats | Bytes) -> Image.Image:
    if image.ndim != 2:
        raise ValueError(f"an image is [H, W], got shape {image.shape}: convert it to grey first")
    return Image.fromarray(np.ascontiguousarray(image))
