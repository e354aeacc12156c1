"""JPEG and PNG -> grey values of 8 bits, upright, before equalisation.

    bytes --headers--> checked --decode--> upright --transparent on black, luma--> "L"
                                                   \\--16 bits: min-max, truncated--> "L"

16 bits are scaled as the stored values of a DICOM are, so that one film gives the same pixels in
both, however many of its bits a file uses. White is the brightest pixel, unless that is a defect
of the detector or a marker far brighter than the film.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from lapse.images.errors import Code, ImageError, check_compression, check_size, unsupported
from lapse.images.file_kind import describe_file
from lapse.images.intensity import (
    IntegerImage,
    apply_table,
    histogram,
    min_max_scale,
    percentile_window,
)
from lapse.images.jpeg_header import BASELINE, EXTENDED, PROGRESSIVE, START, jpeg_frame
from lapse.images.png_header import SIGNATURE, check_png

RESULT_BYTES = 8  # bytes per pixel of the copies that are converted, equalised and resized
ORIENTATION = 0x0112  # EXIF tag
MAX_HOT = 0.001  # fraction of pixels that may be hot
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_PILLOW_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}  # bytes per pixel; 4 in all other modes
_JPEG_PROCESSES = {BASELINE, EXTENDED, PROGRESSIVE}
_JPEG_PRECISION = 8  # bits, the only precision that Pillow decodes


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A JPEG or PNG that is opened and not decoded.

    Attributes:
        path: named in errors.
        opened: by the plug-in of Pillow.
        orientation: of EXIF, 1 .. 8; 1 is upright.
    """

    path: Path
    opened: Image.Image
    orientation: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the upright image."""
        size = (self.opened.height, self.opened.width)
        return size[::-1] if self.orientation in _SIDEWAYS else size

    @property
    def can_reduce(self) -> bool:
        """Whether libjpeg can decode it at a part of its size: a grey, upright JPEG."""
        is_grey_jpeg = isinstance(self.opened, JpegImageFile) and self.opened.mode == "L"
        return is_grey_jpeg and self.orientation == 1

    def grey(self, intensity: str = "mimic") -> tuple[Image.Image, tuple[str, ...]]:
        """Decode it: the upright grey image of mode "L", and what was changed.

        Args:
            intensity: one of lapse.images.INTENSITIES.

        Raises:
            ImageError: truncated, damaged.
        """
        try:
            self.opened.load()
        except Exception as error:  # decoders raise many exception types for damaged files
            raise _decoding_error(self.path, error) from error
        grey, is_clipped = to_grey(self.opened, intensity)
        turned, notes = upright(grey, self.orientation)
        return turned, (*notes, "bright defects did not set white") if is_clipped else notes


def open_picture(path: Path, data: bytes) -> Picture:
    """Check the headers of a JPEG or PNG and open it without decoding.

    The plug-ins of Pillow are called directly, so that the limits here apply and not Pillow's.

    Raises:
        ImageError: any code of a file that cannot be read.
    """
    bytes_per_pixel = RESULT_BYTES
    exif: bytes | None = None
    if data.startswith(START):
        frame = jpeg_frame(path, data)
        check_size(path, frame.height, frame.width)
        check_compression(path, frame.height, frame.width, len(data))
        is_usual = frame.process in _JPEG_PROCESSES and frame.precision == _JPEG_PRECISION
        if not is_usual or frame.components not in {1, 3, 4}:
            raise unsupported(
                path,
                f"is a JPEG of process {frame.process}, {frame.precision} bits and "
                f"{frame.components} components: export it again as an ordinary JPEG",
            )
        bytes_per_pixel += 2 * frame.components if frame.is_progressive else 0
    elif data.startswith(SIGNATURE):
        exif = check_png(path, data).exif
    else:
        raise ImageError("unknown-format", f"{path} is {describe_file(data)}")
    plugin = JpegImageFile if data.startswith(START) else PngImageFile
    try:
        opened: Image.Image = plugin(io.BytesIO(data))
    except Exception as error:  # plug-ins raise many exception types for damaged files
        raise _decoding_error(path, error) from error
    bytes_per_pixel += _PILLOW_BYTES.get(opened.mode, 4)
    check_size(path, opened.height, opened.width, bytes_per_pixel)
    return Picture(path, opened, exif_orientation(exif or opened.info.get("exif", b"")))


def exif_orientation(exif: bytes) -> int:
    """The orientation tag of EXIF data, 1 .. 8; 1 (upright) where it is absent or unreadable."""
    tags = Image.Exif()
    try:
        tags.load(exif)
        orientation = tags.get(ORIENTATION, 1)
    except Exception:  # a damaged EXIF block, which says nothing about the pixels
        return 1
    return orientation if orientation in _UPRIGHT else 1


def upright(image: Image.Image, orientation: int) -> tuple[Image.Image, tuple[str, ...]]:
    """Turn an image as its EXIF orientation says, and a note if it was turned."""
    if orientation == 1:
        return image, ()
    return image.transpose(_UPRIGHT[orientation]), ("turned upright by its EXIF orientation",)


def to_grey(decoded: Image.Image, intensity: str = "mimic") -> tuple[Image.Image, bool]:
    """Mode "L" from any mode of JPEG and PNG, and whether bright defects were clipped.

    Transparent pixels are black. A percentile window of 16 bits clips without a defect.
    """
    if decoded.mode.startswith("I"):
        return _scaled(np.asarray(decoded), intensity)
    if "transparency" in decoded.info or decoded.mode in {"LA", "RGBA", "PA"}:
        layer = decoded.convert("RGBA")
        black = Image.new("RGBA", layer.size, (0, 0, 0, 255))
        decoded = Image.alpha_composite(black, layer)
    if decoded.mode == "P":  # the luma of its palette
        decoded = decoded.convert("RGB")
    return (decoded if decoded.mode == "L" else decoded.convert("L")), False


def _scaled(values: IntegerImage, intensity: str) -> tuple[Image.Image, bool]:
    """16 bits -> 8 bits from black to white, and whether bright defects were clipped."""
    lowest, highest = int(values.min()), int(values.max())
    if lowest == highest:
        return Image.fromarray(np.full(values.shape, 255, np.uint8)), False
    counts = histogram(values, highest - lowest + 1, lowest)
    is_window = intensity == "percentile"
    black, white = percentile_window(counts) if is_window else (0, _white(counts))
    table = min_max_scale(np.clip(np.arange(len(counts)), black, white))
    is_clipped = not is_window and white < len(counts) - 1
    return Image.fromarray(apply_table(table, values, lowest)), is_clipped


def _white(counts: np.ndarray[Any, np.dtype[np.int64]]) -> int:
    """The position of white among the counts of the values from the darkest to the brightest.

    The brightest value, unless the brightest thousandth of the pixels begins with a jump to more
    than twice the brightness: then the value before the jump.
    """
    levels = np.flatnonzero(counts)
    num_above = int(counts.sum()) - np.cumsum(counts[levels])  # pixels brighter than each level
    is_jump = (levels[1:] > 2 * levels[:-1]) & (num_above[:-1] <= MAX_HOT * counts.sum())
    is_jump &= levels[:-1] > 0
    return int(levels[np.argmax(is_jump)] if is_jump.any() else levels[-1])


def _decoding_error(path: Path, error: Exception) -> ImageError:
    code: Code = "truncated" if "truncated" in str(error) else "damaged"
    return ImageError(
        code,
        f"{path} is truncated or damaged ({error}): fetch the file again and compare its size",
    )
