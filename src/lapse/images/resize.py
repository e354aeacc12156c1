"""Resize a grey image to a square, squashed or letterboxed. Bicubic with antialiasing."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lapse.images.intensity import ByteImage, FloatImage, strips

Crop = tuple[float, float, float, float]  # left, top, right, bottom in pixels


def letterbox_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width of an image inside its letterbox, as in Chest ImaGenome: rounded down.

    >>> letterbox_size(100, 200, 40)
    (20, 40)
    """
    scale = size / max(height, width)
    return max(1, int(height * scale)), max(1, int(width * scale))


def pad_to_square(image: ByteImage, size: int) -> ByteImage:
    """An image in the centre of a black square. # [H, W] -> [size, size]"""
    height, width = image.shape
    square = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = image
    return square


def resize(
    image: FloatImage | ByteImage | Image.Image, height: int, width: int, crop: Crop | None = None
) -> ByteImage:
    """Resize an image to any size. # [H, W] -> [height, width] uint8

    Args:
        image: [H, W] float32 in [0, 1], or uint8, or a Pillow image of mode "L".
        crop: the part of the image that is resized, in pixels; default: all.

    Raises:
        ValueError: the image has colours, or the new size no pixels.
    """
    if height < 1 or width < 1:
        raise ValueError(f"cannot resize an image to {height} x {width} pixels: at least 1 x 1")
    if isinstance(image, np.ndarray) and image.ndim != 2:
        raise ValueError(f"an image is [H, W], got shape {image.shape}: convert it to grey first")
    if not isinstance(image, Image.Image):
        image = Image.fromarray(np.ascontiguousarray(image))
    resized = np.array(image.resize((width, height), Image.Resampling.BICUBIC, box=crop))
    if resized.dtype == np.uint8:
        return resized
    rounded = np.empty((height, width), dtype=np.uint8)
    for rows in strips(height, width):
        rounded[rows] = np.rint(np.clip(resized[rows] * np.float32(255), 0, 255))
    return rounded
