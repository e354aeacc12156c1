"""One radiograph at a model's image size, and boxes between the original and the model's text."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lapse.core.tokenizer import bins_box, box_text, find_box
from lapse.core.types import Box
from lapse.data.store.letterbox import letterboxed, unletterboxed
from lapse.images import ImageProcessing, fit_image, read_at
from lapse.images.film_facts import NO_FACTS, FilmFacts, facts_of_bytes, facts_of_file
from lapse.images.intensity import ByteImage, FloatImage
from lapse.images.read import DEFAULT
from lapse.images.resize import letterbox_size, resize
from lapse.inference.films import Film

logger = logging.getLogger(__name__)
IN_MEMORY = Path("the film")  # names a film without a file in errors
MAX_GREY = 65535  # of 16 bits
SHOWN = 512  # pixels of the longer edge of a film in a notebook

# A file (JPEG, PNG, DICOM) or its content, a Pillow image, or grey values [H, W]: uint8, uint16 or
# 0 .. 1.
Source: TypeAlias = "str | Path | bytes | Image.Image | np.ndarray"


@dataclass(frozen=True, slots=True, eq=False)
class ModelImage:
    """A radiograph at a model's image size.

    Attributes:
        pixels: [S, S] uint8.
        height: rows of the original.
        width: columns of the original.
        resize: "squash" or "letterbox".
        facts: of the header of a DICOM.
        allow_unusual: answer about it although an input check refuses it.
        file: name of the file, without its folder; "" for an image in memory.
    """

    pixels: NDArray[np.uint8]
    height: int
    width: int
    resize: str
    facts: FilmFacts = NO_FACTS
    allow_unusual: bool = False
    file: str = ""

    @classmethod
    def of_store(cls, pixels: NDArray[np.uint8]) -> ModelImage:
        """An image of a store, [S, S], which is processed already; boxes are on that square."""
        height, width = pixels.shape
        return cls(pixels, height, width, "squash")

    @property
    def image_size(self) -> int:
        """S, which is also the number of box bins."""
        return int(self.pixels.shape[0])

    def film(self) -> Film:
        """The pixels in the proportions of the original, enlarged to `SHOWN` pixels."""
        picture = Image.fromarray(self.pixels)
        size = self.image_size
        if self.resize == "letterbox":
            height, width = letterbox_size(self.height, self.width, size)
            top, left = (size - height) // 2, (size - width) // 2
            picture = picture.crop((left, top, left + width, top + height))
        height, width = letterbox_size(self.height, self.width, max(SHOWN, size))
        return Film(resize(picture, height, width), self.height, self.width, self.file)

    def format_box(self, box: Box) -> str:
        """A box of the original as the text that the model reads."""
        if self.resize == "letterbox":
            box = letterboxed(box, self.height, self.width, self.image_size)
        return box_text(box, self.image_size)

    def parse_box(self, text: str) -> Box | None:
        """The last box of a generated text, on the original; None without a valid box."""
        bins = find_box(text)
        if bins is None or max(bins) >= self.image_size:
            return None
        box = bins_box(bins, self.image_size)
        if self.resize == "letterbox":
            return unletterboxed(box, self.height, self.width, self.image_size)
        return box


def load_model_image(
    source: Source | ModelImage, image_size: int, processing: ImageProcessing = DEFAULT
) -> ModelImage:
    """Read a radiograph from a file, a Pillow image or an array; it is equalised like any other.

    Args:
        source: a path, the content of a file (errors call it "the film"), an open image (converted
            to grey), or [H, W] uint8, uint16 or floats in [0, 1]. 16 bits are scaled as those of a
            PNG file are. A `ModelImage` is returned as it is.
        image_size: S in pixels.
        processing: of the training images: the way to resize, and the grey values of a DICOM.

    Raises:
        ValueError: an `ImageError` (a file that cannot be read, a blank image, noise), or an
            array of another kind.
    """
    if isinstance(source, ModelImage):
        return source
    facts, file, name = NO_FACTS, "", "image"
    if isinstance(source, str | Path):
        file, name = Path(source).name, str(source)
        stored = read_at(Path(source), image_size, processing)
        facts = facts_of_file(Path(source))
    elif isinstance(source, bytes):
        name = "film"
        stored = read_at(IN_MEMORY, image_size, processing, data=source)
        facts = facts_of_bytes(source)
    elif isinstance(source, Image.Image):
        stored = fit_image(_check_mode(source), image_size, processing)
    else:
        stored = fit_image(_check_grey(np.asarray(source)), image_size, processing)
    for note in stored.notes:
        logger.warning("%s: %s", name, note)
    return ModelImage(
        stored.pixels, stored.height, stored.width, processing.resize, facts, file=file
    )


def _check_mode(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError(
            "a Pillow image of mode F has no defined grey scale: give floats in [0, 1] as an "
            "array, or 8 or 16 bits"
        )
    if image.mode.startswith("I"):
        grey = np.asarray(image)
        low, high = int(grey.min()), int(grey.max())
        if low < 0 or high > MAX_GREY:
            raise ValueError(
                f"grey values of a Pillow image of mode {image.mode} are 0 .. {MAX_GREY}, got "
                f"{low} .. {high}"
            )
    return image


def _check_grey(grey: np.ndarray) -> ByteImage | FloatImage | Image.Image:
    if grey.ndim != 2 or 0 in grey.shape:
        raise ValueError(f"an image is [H, W] grey values, got an array of shape {grey.shape}")
    if grey.dtype == np.uint8:
        return grey
    if grey.dtype.kind == "u" and grey.dtype.itemsize == 2:  # of either byte order
        return Image.fromarray(np.ascontiguousarray(grey, np.uint16))
    if not np.issubdtype(grey.dtype, np.floating):
        raise ValueError(f"grey values are uint8, uint16 or floats in [0, 1], got {grey.dtype}")
    low, high = float(grey.min()), float(grey.max())
    if not (low >= 0.0 and high <= 1.0):  # also refuses NaN
        raise ValueError(f"floating grey values must be in [0, 1], got {low} .. {high}")
    return grey.astype(np.float32)
