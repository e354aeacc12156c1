"""Read image files: at full size, at a training size, or only their size.

JPEG and PNG are used as they are, because the images of MIMIC-CXR-JPG are processed already. A
DICOM is processed as MIMIC-CXR-JPG processed its own (lapse.images.dicom).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from lapse.core.types import nearest
from lapse.images.dicom import is_dicom, read_dicom
from lapse.images.errors import Code, ImageError, check_compression, check_size, read_file
from lapse.images.intensity import ByteImage, FloatImage, to_grey, to_unit_range
from lapse.images.jpeg_header import BASELINE, EXTENDED, PROGRESSIVE, START, jpeg_frame
from lapse.images.png_header import SIGNATURE, check_png
from lapse.images.resize import Crop, letterbox_size, pad_to_square
from lapse.images.resize import resize as resize_to

RESIZES = ("squash", "letterbox")
RESULT_BYTES = 8  # bytes per pixel of the float image and of the copy that is resized
_PILLOW_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}  # bytes per pixel; 4 in all other modes
_JPEG_PROCESSES = {BASELINE, EXTENDED, PROGRESSIVE}
_JPEG_PRECISION = 8  # bits, the only precision that Pillow decodes


@dataclass(frozen=True, slots=True, eq=False)
class StoredImage:
    """An image at a training size.

    Attributes:
        pixels: [size, size] uint8.
        height: rows of the original.
        width: columns of the original.
    """

    pixels: ByteImage
    height: int
    width: int


def read_image(path: Path) -> FloatImage:
    """One radiograph as grey values, 0 black to 1 white; air is dark and bone is bright.

    The format is recognised by the first bytes of the file, not by its name.

    Returns:
        [H, W] float32 in [0, 1].

    Raises:
        ImageError: a ValueError; its `code` is one of lapse.images.errors.CODES.
    """
    data = read_file(path)
    if is_dicom(data):
        return to_unit_range(read_dicom(path, data), 255)
    return to_grey(_decode(path, _open(path, data)))


def read_at(path: Path, size: int, resize: str = "squash") -> StoredImage:
    """One radiograph at a training size, with its original size.

    libjpeg decodes a JPEG at 1/2, 1/4 or 1/8 of its size as long as height and width keep twice
    the target size; the rest is bicubic with antialiasing. This differs from a full decode by 0.2
    grey levels on average and is 1.5 times as fast for 3056 x 2544 -> 448. Other formats are
    decoded at full size.

    Args:
        path: JPEG, PNG of 8 or 16 bits, or DICOM.
        size: side of the square in pixels.
        resize: "squash", or "letterbox" to keep the proportions.

    Raises:
        ImageError: as for `read_image`.
        ValueError: the size is below 1, or `resize` is unknown.
    """
    if size < 1:
        raise ValueError(f"cannot read an image at {size} x {size} pixels: at least 1 x 1")
    if resize not in RESIZES:
        raise ValueError(f"unknown way to resize {resize!r}; {nearest(resize, list(RESIZES))}")
    data = read_file(path)
    if is_dicom(data):
        image = read_dicom(path, data)
        height, width = image.shape
        return StoredImage(_resized(image, (height, width), size, resize), height, width)
    opened = _open(path, data)
    height, width = opened.height, opened.width
    crop: Crop | None = None
    if opened.mode == "L" and isinstance(opened, JpegImageFile):
        square = (size, size)
        target = square if resize == "squash" else letterbox_size(height, width, size)
        # a reduced image has complete blocks only; the crop excludes those beyond the image
        draft = opened.draft("L", (2 * target[1], 2 * target[0]))
        crop = draft[1] if draft else None
        decoded: FloatImage | Image.Image = _decode(path, opened)
    else:
        decoded = to_grey(_decode(path, opened))
    return StoredImage(_resized(decoded, (height, width), size, resize, crop), height, width)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of a JPEG or PNG from its headers alone.

    Raises:
        ImageError: as for `read_image`, and for a DICOM (its size is only read with its pixels).
    """
    opened = _open(path, read_file(path))
    return opened.height, opened.width


def _resized(
    image: FloatImage | ByteImage | Image.Image,
    shape: tuple[int, int],
    size: int,
    how: str,
    crop: Crop | None = None,
) -> ByteImage:
    """[size, size] uint8; `shape` is that of the original, `crop` the part to resize."""
    if how == "squash":
        return resize_to(image, size, size, crop)
    height, width = letterbox_size(shape[0], shape[1], size)
    return pad_to_square(resize_to(image, height, width, crop), size)


def _open(path: Path, data: bytes) -> Image.Image:
    """Open a file without decoding it.

    The plug-ins of Pillow are called directly, so that the limits here apply and not Pillow's.
    """
    bytes_per_pixel = RESULT_BYTES
    if data.startswith(START):
        frame = jpeg_frame(path, data)
        check_size(path, frame.height, frame.width)
        check_compression(path, frame.height, frame.width, len(data))
        is_usual = frame.process in _JPEG_PROCESSES and frame.precision == _JPEG_PRECISION
        if not is_usual or frame.components not in {1, 3, 4}:
            raise ImageError(
                "unsupported",
                f"{path} is a JPEG of process {frame.process}, {frame.precision} bits and "
                f"{frame.components} components: export it again as an ordinary JPEG",
            )
        bytes_per_pixel += 2 * frame.components if frame.is_progressive else 0
    elif data.startswith(SIGNATURE):
        check_png(path, data)
    else:
        raise ImageError(
            "unknown-format",
            f"{path} is neither JPEG, PNG nor DICOM (it starts with {data[:8]!r}): convert it "
            "to one of these",
        )
    plugin = JpegImageFile if data.startswith(START) else PngImageFile
    try:
        opened: Image.Image = plugin(io.BytesIO(data))
    except Exception as error:  # plug-ins raise many exception types for damaged files
        raise _decoding_error(path, error) from error
    bytes_per_pixel += _PILLOW_BYTES.get(opened.mode, 4)
    check_size(path, opened.height, opened.width, bytes_per_pixel)
    return opened


def _decode(path: Path, opened: Image.Image) -> Image.Image:
    try:
        opened.load()
    except Exception as error:  # decoders raise many exception types for damaged files
        raise _decoding_error(path, error) from error
    return opened


def _decoding_error(path: Path, error: Exception) -> ImageError:
    code: Code = "truncated" if "truncated" in str(error) else "damaged"
    return ImageError(
        code,
        f"{path} is truncated or damaged ({error}): fetch the file again and compare its size",
    )
