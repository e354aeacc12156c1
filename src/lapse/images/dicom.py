"""A DICOM radiograph -> the 8-bit image that MIMIC-CXR-JPG would contain.

    stored values -> rescale or modality LUT -> VOI LUT or first window -> min-max to 8 bits
        -> inverted for MONOCHROME1 -> equalised

All steps are functions of one stored value, so they are computed once for each value that occurs.
MIMIC-CXR-JPG (Johnson et al. 2019, arXiv:1901.07042) describes no window; for a file without one
the steps are exactly those of MIMIC-CXR-JPG. Pixels that PixelPaddingValue marks as outside the
image are black and do not count. Source: DICOM PS3.3, C.7.5.1.1.2, C.7.6.3, C.11.1, C.11.2.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lapse.core.extras import install_command
from lapse.images.dicom_frames import (
    EXPLICIT_BIG_ENDIAN,
    NATIVE,
    SYNTAXES,
    UNDEFINED_LENGTH,
    PixelTags,
    read_stored_values,
)
from lapse.images.errors import ImageError, check_size, damaged, truncated
from lapse.images.intensity import (
    ByteImage,
    IntegerImage,
    apply_table,
    equalisation_table,
    histogram,
    min_max_scale,
)
from lapse.images.pydicom_quiet import quiet_pydicom
from lapse.images.voi_lut import displayed_values

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PREAMBLE = 128  # bytes before the letters DICM
DEFLATED = "1.2.840.10008.1.2.1.99"  # a small deflated DICOM can decompress to gigabytes
MAX_READS = 100_000  # of the parser; about a thousand are usual
MAX_LUT = 1024 * 1024  # bytes of a look-up table with its description
_LUT_SEQUENCES = ("ModalityLUTSequence", "VOILUTSequence")
_OPTIONAL = (
    *_LUT_SEQUENCES,
    "RescaleIntercept",
    "RescaleSlope",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
)
_TAGS = (
    *_OPTIONAL,
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "PixelData",
)
# Parts of the header as they are written in little endian.
_FILE_META_GROUP, _TRANSFER_SYNTAX_ELEMENT = b"\x02\x00", b"\x10\x00"
_LONG_REPRESENTATIONS = {b"OB", b"UN", b"UT", b"OW", b"SQ"}  # with a length of four bytes


def is_dicom(data: bytes) -> bool:
    """Whether a file starts with the preamble of a DICOM: any 128 bytes, then "DICM"."""
    return data[PREAMBLE : PREAMBLE + 4] == b"DICM"


def read_dicom(path: Path, data: bytes) -> ByteImage:
    """The processed image of a DICOM with one grey frame.

    Args:
        path: named in errors.
        data: the content of the file.

    Returns:
        [H, W] uint8, bone bright.

    Raises:
        ImageError: any code except missing and unknown-format. It names numbers and tags, never
            texts of the file, which may name a patient.
    """
    syntax = _transfer_syntax(path, data)
    try:
        from pydicom import dcmread
    except ImportError as error:
        raise ImageError(
            "unsupported",
            f"{path} is a DICOM and pydicom is not installed: {install_command('dicom')}",
        ) from error
    try:
        with quiet_pydicom():
            dicom = dcmread(_LimitedReads(path, data), specific_tags=list(_TAGS))
            tags = _pixel_tags(path, syntax, dicom)
            _check_optional(path, dicom)
        values = read_stored_values(path, tags, dicom)
        with quiet_pydicom():
            return _process(path, tags, values, dicom)
    except ImageError:
        raise
    except Exception as error:  # pydicom raises many exception types for damaged files
        raise ImageError(
            "damaged",
            f"{path} is not a readable DICOM image ({type(error).__name__}): fetch it again",
        ) from error


class _LimitedReads(io.BytesIO):
    """A file with a limited number of reads: millions of tiny elements would cost gigabytes."""

    def __init__(self, path: Path, data: bytes) -> None:
        super().__init__(data)
        self._path = path
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads > MAX_READS:
            raise ImageError(
                "too-many-bytes", f"{self._path} has more DICOM elements than {MAX_READS} reads"
            )
        return super().read(size)


def _transfer_syntax(path: Path, data: bytes) -> str:
    """The transfer syntax in the first group of the file; the rest may be compressed."""
    position = PREAMBLE + 4
    while data[position : position + 2] == _FILE_META_GROUP:
        head = data[position : position + 12]
        is_long = head[4:6] in _LONG_REPRESENTATIONS
        length = int.from_bytes(head[8:12] if is_long else head[6:8], "little")
        start = position + (12 if is_long else 8)
        if start + length > len(data):
            raise truncated(path, "the DICOM header")
        if head[2:4] == _TRANSFER_SYNTAX_ELEMENT:
            syntax = data[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")
            if syntax in SYNTAXES:
                return syntax
            name = "deflated, which can hide any size" if syntax == DEFLATED else repr(syntax)
            raise ImageError(
                "unsupported",
                f"{path} has a transfer syntax that is {name}: store it uncompressed",
            )
        position = start + length
    raise damaged(path, "no DICOM transfer syntax")


def _pixel_tags(path: Path, syntax: str, dicom: Dataset) -> PixelTags:
    """How the pixels are stored; checks all limits that need no decoding."""
    rows, columns = _integer(path, dicom, "Rows"), _integer(path, dicom, "Columns")
    check_size(path, rows, columns)
    frames = _integer(path, dicom, "NumberOfFrames", default=1)
    if frames != 1:
        raise ImageError(
            "multi-frame", f"{path} has {frames} frames: give one radiograph with a single frame"
        )
    photometric = str(dicom.get("PhotometricInterpretation", ""))
    samples = _integer(path, dicom, "SamplesPerPixel", default=1)
    if photometric not in {"MONOCHROME1", "MONOCHROME2"} or samples != 1:
        # a text of the file appears in the message only if it can be a code
        name = photometric if photometric.replace("_", "").isalnum() else "of unknown kind"
        raise ImageError(
            "not-grey", f"{path}: its pixels are {name!r} with {samples} samples: grey is needed"
        )
    _check_pixel_data(path, syntax, dicom)
    allocated = _integer(path, dicom, "BitsAllocated")
    stored = _integer(path, dicom, "BitsStored", default=allocated)
    high = _integer(path, dicom, "HighBit", default=stored - 1)
    signed = _integer(path, dicom, "PixelRepresentation", default=0)
    if allocated not in {8, 16}:
        raise ImageError("unsupported", f"{path} has {allocated} bits per pixel: 8 or 16 are read")
    if not (2 <= stored <= high + 1 <= allocated and signed in {0, 1}):
        raise damaged(path, f"{stored} bits stored up to bit {high} of {allocated}, sign {signed}")
    return PixelTags(syntax, rows, columns, allocated, stored, high, bool(signed))


def _check_pixel_data(path: Path, syntax: str, dicom: Dataset) -> None:
    if "PixelData" not in dicom:
        if "FloatPixelData" in dicom or "DoubleFloatPixelData" in dicom:
            raise ImageError(
                "unsupported", f"{path} has floating-point pixels: integers are supported"
            )
        raise truncated(path, "the DICOM header: it has no pixels")
    is_encapsulated = _length(dicom, "PixelData") == UNDEFINED_LENGTH
    if is_encapsulated == (syntax in NATIVE):
        raise damaged(path, f"the pixels are not written as transfer syntax {syntax} says")


def _integer(path: Path, dicom: Dataset, name: str, default: int | None = None) -> int:
    value: Any = dicom.get(name)
    if value is None and default is not None:
        return default
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise damaged(path, f"DICOM element {name} is missing or not an integer") from error


def _length(dicom: Dataset, name: str) -> int:
    """Bytes of an element in the file; 0 if pydicom has parsed it already."""
    return int(getattr(dicom.get_item(name), "length", 0))


def _check_optional(path: Path, dicom: Dataset) -> None:
    """Remove empty optional elements; check the size of look-up tables before parsing them."""
    for name in _OPTIONAL:
        if name not in dicom:
            continue
        length = _length(dicom, name)
        if name in _LUT_SEQUENCES and MAX_LUT < length < UNDEFINED_LENGTH:
            raise ImageError(
                "too-many-bytes", f"{path}: {name} has {length} bytes, limit {MAX_LUT}"
            )
        value = dicom[name].value
        if value is None or (hasattr(value, "__len__") and len(value) == 0):
            del dicom[name]


def _process(path: Path, tags: PixelTags, values: IntegerImage, dicom: Dataset) -> ByteImage:
    """All steps on the table of stored values, then one look-up per pixel."""
    lowest, highest = int(values.min()), int(values.max())
    counts = histogram(values, highest - lowest + 1, lowest)
    levels = np.arange(lowest, highest + 1).astype(values.dtype)
    is_image = (counts > 0) & ~_is_padding(path, levels, dicom)
    is_big_endian = tags.syntax == EXPLICIT_BIG_ENDIAN
    displayed = displayed_values(path, levels[is_image], dicom, is_big_endian=is_big_endian)
    if len(displayed) < 2 or displayed.min() == displayed.max():
        raise ImageError(
            "blank", f"{path} is blank: all pixels are one grey; check the file or its window"
        )
    is_inverted = dicom.PhotometricInterpretation == "MONOCHROME1"
    grey = np.zeros(len(levels), dtype=np.uint8)
    grey[is_image] = min_max_scale(displayed, is_inverted=is_inverted)
    grey_counts = np.zeros(256, dtype=np.int64)
    np.add.at(grey_counts, grey[is_image], counts[is_image])
    table = equalisation_table(grey_counts)[grey]
    table[~is_image] = 0
    return apply_table(table, values, lowest)


def _is_padding(path: Path, levels: IntegerImage, dicom: Dataset) -> npt.NDArray[np.bool_]:
    """Which stored values are outside the image."""
    if "PixelPaddingValue" not in dicom:
        return np.zeros(len(levels), dtype=np.bool_)
    first = _integer(path, dicom, "PixelPaddingValue")
    last = _integer(path, dicom, "PixelPaddingRangeLimit", default=first)
    # both may be written without the sign of the pixels
    ends = np.array([first, last]).astype(levels.dtype).astype(np.int64)
    is_padding: npt.NDArray[np.bool_] = (levels >= ends.min()) & (levels <= ends.max())
    return is_padding
