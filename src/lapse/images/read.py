"""Read image files: at full size, at a training size, or only their size.

    DICOM (lapse.images.dicom) --------.
    JPEG, PNG (lapse.images.picture) --+--> grey values of 8 bits --> equalised --> resized
    Pillow image, array ---------------'

Every image is equalised, whatever its format and history: a rule by content would treat the two
images of a pair differently. An image that was equalised before changes by about one grey level.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lapse.images.dicom import read_dicom
from lapse.images.dicom_header import is_dicom
from lapse.images.errors import read_file
from lapse.images.intensity import ByteImage, FloatImage, equalise_film, to_unit_range
from lapse.images.picture import exif_orientation, open_picture, to_grey, upright
from lapse.images.processing import ImageProcessing
from lapse.images.resize import Crop, letterbox_size, pad_to_square
from lapse.images.resize import resize as resize_to

DEFAULT = ImageProcessing()
_IN_MEMORY = Path("the film")  # names a film without a file in errors
MIN_REDUCED = 256  # pixels of a side of a reduced decode, so that noise is recognised


@dataclass(frozen=True, slots=True, eq=False)
class StoredImage:
    """An image at a training size.

    Attributes:
        pixels: [size, size] uint8.
        height: rows of the original, upright.
        width: columns of the original, upright.
        notes: what was ignored or changed in the file, as reasons without its values.
    """

    pixels: ByteImage
    height: int
    width: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Film:
    """An equalised image of mode "L", perhaps at a part of its size (height, width)."""

    image: Image.Image
    shape: tuple[int, int]
    notes: tuple[str, ...] = ()
    crop: Crop | None = None  # the part of a reduced image without incomplete blocks

    def resized(self, size: int, resize: str) -> StoredImage:
        """The film in a square."""
        target = target_size(self.shape, size, resize)
        pixels = pad_to_square(resize_to(self.image, *target, self.crop), size)
        return StoredImage(pixels, *self.shape, self.notes)


def read_image(path: Path, intensity: str = "mimic", *, data: bytes | None = None) -> FloatImage:
    """One radiograph as equalised grey values, 0 black to 1 white; bone is bright.

    The format is recognised by the first bytes of the file, not by its name.

    Args:
        path: JPEG, PNG of 8 or 16 bits, or DICOM.
        intensity: one of INTENSITIES; see `ImageProcessing`.
        data: the content of the file, where it is a member of an archive; None to read the file.

    Returns:
        [H, W] float32 in [0, 1].

    Raises:
        ImageError: a ValueError; its `code` is one of lapse.images.errors.CODES.
    """
    data = read_file(path) if data is None else data
    return to_unit_range(_read_film(path, data, ImageProcessing(intensity=intensity)).image)


def read_at(
    path: Path,
    size: int,
    processing: ImageProcessing = DEFAULT,
    *,
    data: bytes | None = None,
) -> StoredImage:
    """One radiograph at a training size, with its original size.

    libjpeg decodes a JPEG at 1/2, 1/4 or 1/8 of its size as long as height and width keep twice
    the target size; the rest is bicubic with antialiasing. Other formats are decoded at full size.

    Args:
        path: JPEG, PNG of 8 or 16 bits, or DICOM.
        size: side of the square in pixels.
        processing: how it is resized, and the grey values of a DICOM.
        data: the content of the file, where it is a member of an archive; None to read the file.

    Raises:
        ImageError: as for `read_image`.
        ValueError: the size is below 1.
    """
    _check_side(size)
    data = read_file(path) if data is None else data
    return _read_film(path, data, processing, size).resized(size, processing.resize)


def decode_shown(data: bytes, max_side: int) -> Image.Image:
    """The content of a file for a screen: with its window, and not equalised.

    Args:
        data: JPEG, PNG of 8 or 16 bits, or DICOM.
        max_side: pixels of the longer edge; a smaller film keeps its size.

    Returns:
        An upright image of mode "L", bone bright.

    Raises:
        ImageError: as for `read_image`, except blank and noise.
    """
    _check_side(max_side)
    if is_dicom(data):
        grey = Image.fromarray(read_dicom(_IN_MEMORY, data, "display").grey)
    else:
        grey, _ = open_picture(_IN_MEMORY, data).grey()
    if max(grey.size) <= max_side:
        return grey
    return Image.fromarray(resize_to(grey, *letterbox_size(grey.height, grey.width, max_side)))


def fit_image(
    image: Image.Image | ByteImage | FloatImage, size: int, processing: ImageProcessing = DEFAULT
) -> StoredImage:
    """An image in memory at a training size, processed as a file is.

    Args:
        image: an open Pillow image, or [H, W] uint8 or float in [0, 1].
        size: side of the square in pixels.

    Raises:
        ImageError: blank or noise.
        ValueError: the size is below 1.
    """
    _check_side(size)
    notes: tuple[str, ...] = ()
    if isinstance(image, Image.Image):
        decoded, _ = to_grey(image, processing.intensity)
        grey, notes = upright(decoded, exif_orientation(image.info.get("exif", b"")))
    else:
        is_float = image.dtype != np.uint8
        grey = Image.fromarray(np.rint(image * 255).astype(np.uint8) if is_float else image)
    film = equalise_film("the image", grey)
    return _Film(film, (film.height, film.width), notes).resized(size, processing.resize)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of a JPEG or PNG, upright, from its headers alone.

    Raises:
        ImageError: as for `read_image`, and for a DICOM (its size is only read with its pixels).
    """
    return open_picture(path, read_file(path)).shape


def target_size(shape: tuple[int, int], size: int, resize: str) -> tuple[int, int]:
    """Height and width inside the square of an image of this height and width."""
    return (size, size) if resize == "squash" else letterbox_size(*shape, size)


def _read_film(
    path: Path, data: bytes, processing: ImageProcessing, size: int | None = None
) -> _Film:
    """The equalised image; a JPEG may be smaller than its file if `size` is the training size."""
    if is_dicom(data):
        dicom = read_dicom(path, data, processing.intensity)
        film = equalise_film(path, Image.fromarray(dicom.grey))
        return _Film(film, (film.height, film.width), dicom.notes)
    picture = open_picture(path, data)
    shape, crop = picture.shape, None
    if size is not None and picture.can_reduce:
        sides = target_size(shape, size, processing.resize)
        height, width = (max(side, MIN_REDUCED // 2) for side in sides)
        # a reduced image has complete blocks only; the crop excludes those beyond the image
        draft = picture.opened.draft("L", (2 * width, 2 * height))
        crop = draft[1] if draft else None
    grey, notes = picture.grey(processing.intensity)
    return _Film(equalise_film(path, grey), shape, notes, crop)


def _check_side(size: int) -> None:
    if size < 1:
        raise ValueError(f"cannot read an image at {size} x {size} pixels: at least 1 x 1")
