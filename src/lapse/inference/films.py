"""Films as reports, pictures and notebooks show them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapse.images import ImageProcessing, read_image
from lapse.images.resize import letterbox_size, resize

MAX_SHOWN = 1024  # pixels of the longer edge of a film


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """A film as it is shown.

    Attributes:
        pixels: [H, W] uint8 in the proportions of the original.
        height: rows of the original.
        width: columns of the original.
        file: name of the file, without its folder; "" for an image in memory.
    """

    pixels: NDArray[np.uint8]
    height: int
    width: int
    file: str = ""


def read_film(path: Path, processing: ImageProcessing) -> Film:
    """A file as it is shown, equalised as the model reads it.

    Raises:
        ImageError: a ValueError; as `read_image`.
    """
    grey = read_image(path, processing.intensity)
    height, width = grey.shape
    size = min(MAX_SHOWN, max(height, width))
    return Film(resize(grey, *letterbox_size(height, width, size)), height, width, path.name)
