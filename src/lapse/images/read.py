"""Image files by path: read in full, at a training size, or only measured.

JPEG and PNG are taken as they are, for MIMIC-CXR-JPG's are finished; a DICOM gets what
MIMIC-CXR-JPG did to its own (lapse.images.dicom).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from lapse.core.types import nearest
from lapse.images import errors as refusal
from lapse.images.dicom import is_dicom, read_dicom
from lapse.images.errors import ImageError, check_pixels, check_ratio, load_bytes
from lapse.images.intensity import Bytes, Floats, grey, unit
from lapse.images.jpeg_header import START, jpeg_frame
from lapse.images.png_header import SIGNATURE, check_png
from lapse.images.resize import Part, boxed, fitted, scaled

RESIZES = ("squash", "letterbox")
FINISHED = 8  # bytes a pixel of the float image and of the copy that is resized
_HELD = {"1": 1, "L": 1, "P": 1, "I;16": 2}  # bytes a pixel in Pillow; 4 for all other modes
_BITS = 8  # of a JPEG that Pillow decodes
_PROCESSES = {0, 1, 2}  # baseline, extended, progressive; neither lossless nor arithmetic


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """An image as the store keeps it.

    Attributes:
        pixels: [size, size] uint8.
        height: rows of the original.
        width: columns of the original.
    """

    pixels: Bytes
    height: int
    width: int


def read_image(path: Path) -> Floats:
    """One radiograph as grey values, 0 black to 1 white, air dark and bone bright.

    The kind of file is told by its first bytes, not by its name.

    Returns:
        [H, W] float32 in [0, 1].

    Raises:
        ImageError: a ValueError; its `code` says why, from the closed list in lapse.images.errors.
    """
    data = load_bytes(path)
    if is_dicom(data):
        return unit(read_dicom(path, data), 255)
    return grey(_decode(path, _open(path, data)))


def read_at(path: Path, size: int, resize: str = "squash") -> Stored:
    """One radiograph at a training size, and the size that it had.

    libjpeg decodes a JPEG at 1/2, 1/4 or 1/8 as long as both sides keep twice the wanted pixels,
    and the rest is bicubic with antialiasing: .2 grey levels from a full decode on average, 1.5
    times as fast for 3056 x 2544 -> 448. Files of other kinds are read in full.

    Args:
        path: JPEG, PNG of 8 or 16 bits, or DICOM.
        size: side of the square in pixels.
        resize: "squash", or "letterbox" to keep the proportions.

    Raises:
        ImageError: as for `read_image`.
        ValueError: the size is below 1, or there is no such way to resize.
    """
    if size < 1:
        raise ValueError(f"images of {size} x {size} pixels were asked for: at least 1 x 1")
    if resize not in RESIZES:
        raise ValueError(f"no way to resize by {resize!r}; {nearest(resize, list(RESIZES))}")
    data = load_bytes(path)
    if is_dicom(data):
        finished = read_dicom(path, data)
        return _stored(finished, finished.shape, size, resize)
    opened = _open(path, data)
    shape = (opened.height, opened.width)
    if opened.mode != "L" or not isinstance(opened, JpegImageFile):
        return _stored(grey(_decode(path, opened)), shape, size, resize)
    height, width = (size, size) if resize == "squash" else fitted(*shape, size)
    # whole blocks are decoded: the image ends inside the last row and column of a reduced one
    drafted = opened.draft("L", (2 * width, 2 * height))
    part = drafted[1] if drafted else None
    return _stored(_decode(path, opened), shape, size, resize, part)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of a JPEG or PNG from its headers alone.

    Raises:
        ImageError: as for `read_image`, and for a DICOM (its size is only read with the rest).
    """
    opened = _open(path, load_bytes(path))
    return opened.height, opened.width


def _stored(
    image: Floats | Bytes | Image.Image,
    shape: tuple[int, ...],
    size: int,
    how: str,
    part: Part | None = None,
) -> Stored:
    """`shape` is the original's, whatever a reduced decode has left; `part` is what it shows."""
    height, width = shape
    if how == "squash":
        return Stored(scaled(image, size, size, part), height, width)
    inside = scaled(image, *fitted(height, width, size), part)
    return Stored(boxed(inside, size), height, width)


def _open(path: Path, data: bytes) -> Image.Image:
    """Headers only. The plug-ins are called directly: our own limits are checked, not Pillow's."""
    extra = 0
    if data.startswith(START):
        frame = jpeg_frame(path, data)
        check_pixels(path, frame.height, frame.width)
        check_ratio(path, frame.height, frame.width, len(data))
        is_usual = frame.process in _PROCESSES and frame.precision == _BITS
        if not is_usual or frame.components not in {1, 3, 4}:
            raise ImageError(
                "unsupported",
                f"{path} is a JPEG of process {frame.process}, {frame.precision} bits and "
                f"{frame.components} components: export it again as an ordinary JPEG",
            )
        extra = 2 * frame.components if frame.is_progressive else 0
    elif data.startswith(SIGNATURE):
        check_png(path, data)
    else:
        raise ImageError(
            "unknown-kind",
            f"{path} is neither JPEG, PNG nor DICOM (it begins with {data[:8]!r}): convert it "
            "to one of these",
        )
    kind = JpegImageFile if data.startswith(START) else PngImageFile
    try:
        opened: Image.Image = kind(io.BytesIO(data))
    except Exception as error:  # plug-ins fail in many ways
        raise _given_up(path, error) from error
    held = _HELD.get(opened.mode, 4)
    check_pixels(path, opened.height, opened.width, held + extra + FINISHED)
    return opened


def _decode(path: Path, opened: Image.Image) -> Image.Image:
    try:
        opened.load()
    except Exception as error:  # decoders of damaged files fail in many ways
        raise _given_up(path, error) from error
    return opened


def _given_up(path: Path, error: Exception) -> ImageError:
    code: refusal.Code = "truncated" if "truncated" in str(error) else "damaged"
    return ImageError(
        code,
        f"{path} is truncated or damaged ({error}): fetch the file again and compare its size",
    )
