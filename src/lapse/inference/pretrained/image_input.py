"""One radiograph as a model sees it, and how its boxes lie on the original."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lapse.core.tokenizer import bins_box, box_text, find_box
from lapse.core.types import Box
from lapse.data.store.letterbox import letterboxed, unletterboxed
from lapse.images import letterbox, read_at, resize_square
from lapse.images.intensity import Bytes, Floats

# A file (JPEG, PNG, DICOM), an open Pillow image, or grey values [H, W]: uint8 or 0 .. 1.
Source: TypeAlias = "str | Path | Image.Image | np.ndarray"


@dataclass(frozen=True, slots=True, eq=False)
class ModelImage:
    """A radiograph at a model's size.

    Attributes:
        pixels: [S, S] uint8.
        height: rows of the original.
        width: columns of the original.
        resize: "squash" or "letterbox".
    """

    pixels: Tensor
    height: int
    width: int
    resize: str

    @property
    def side(self) -> int:
        """S, and the number of box bins."""
        return int(self.pixels.shape[0])

    def written(self, box: Box) -> str:
        """A box of the original as the model reads it."""
        if self.resize == "letterbox":
            box = letterboxed(box, self.height, self.width, self.side)
        return box_text(box, self.side)

    def found(self, text: str) -> Box | None:
        """The last box that a text names, on the original; None for a malformed one."""
        bins = find_box(text)
        if bins is None or max(bins) >= self.side:
            return None
        box = bins_box(bins, self.side)
        if self.resize == "letterbox":
            return unletterboxed(box, self.height, self.width, self.side)
        return box


def load_model_image(source: Source, side: int, resize: str = "squash") -> ModelImage:
    """Read a radiograph from a file, a Pillow image or an array.

    Args:
        source: a path, an open image (turned to grey), or [H, W] of uint8 or floats in [0, 1].
        side: S in pixels.
        resize: "squash" or "letterbox", as the training images were.

    Raises:
        ValueError: a file that cannot be read (a `ImageError`), or an array of another kind.
    """
    if isinstance(source, str | Path):
        stored = read_at(Path(source), side, resize)
        return ModelImage(torch.from_numpy(stored.pixels), stored.height, stored.width, resize)
    if isinstance(source, Image.Image):
        if source.mode.startswith(("I", "F")):
            raise ValueError(
                f"a Pillow image of mode {source.mode} has no agreed grey scale: save it as PNG "
                "and give the path, or window it to 8 bits"
            )
        source = np.asarray(source.convert("L"))
    grey = _checked(np.asarray(source))
    square = letterbox(grey, side) if resize == "letterbox" else resize_square(grey, side)
    height, width = grey.shape
    return ModelImage(torch.from_numpy(square), height, width, resize)


def _checked(grey: np.ndarray) -> Bytes | Floats:
    if grey.ndim != 2 or 0 in grey.shape:
        raise ValueError(f"an image is [H, W] grey values, got an array of shape {grey.shape}")
    if grey.dtype == np.uint8:
        return grey
    if not np.issubdtype(grey.dtype, np.floating):
        raise ValueError(f"grey values are uint8 or floats in [0, 1], got {grey.dtype}")
    low, high = float(grey.min()), float(grey.max())
    if not (low >= 0.0 and high <= 1.0):  # also refuses what is not a number
        raise ValueError(f"floating grey values lie in [0, 1], got {low} .. {high}")
    return grey.astype(np.float32)
