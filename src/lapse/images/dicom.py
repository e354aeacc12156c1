"""A DICOM radiograph -> the 8-bit image that MIMIC-CXR-JPG would have made of it.

    stored values -> rescale or modality LUT -> VOI LUT or first window -> min-max to 8 bits
        -> inverted for MONOCHROME1 -> equalised

All steps are functions of one stored value, so they are done once for each value that occurs.
MIMIC-CXR-JPG (Johnson et al. 2019, arXiv:1901.07042) describes no window; without one in the
file the steps are exactly theirs. Pixels that PixelPaddingValue marks as no image are black and
do not count. Source: DICOM PS3.3, C.7.5.1.1.2, C.7.6.3, C.11.1, C.11.2.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lapse.core.extras import install_command
from lapse.images.dicom_frames import BIG_ENDIAN, NATIVE, SYNTAXES, PixelTags, stored_values
from lapse.images.display import shown
from lapse.images.errors import ImageError, check_pixels, damaged, truncated
from lapse.images.intensity import Bytes, Whole, equalising, histogram, lookup, stretch
from lapse.images.pydicom_quiet import quiet

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DEFLATED = "1.2.840.10008.1.2.1.99"  # a small deflated DICOM can unpack to gigabytes
MAX_READS = 100_000  # of the parser; usual are a thousand
MAX_LUT = 1024 * 1024  # bytes of a look-up table with its description
_SEQUENCES = ("ModalityLUTSequence", "VOILUTSequence")
_OPTIONAL = (
    *_SEQUENCES,
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


def is_dicom(data: bytes) -> bool:
    """Whether a file begins as a DICOM does: 128 bytes of anything, then four letters."""
    return data[128:132] == b"DICM"


def read_dicom(path: Path, data: bytes) -> Bytes:
    """The finished image of a DICOM with one grey frame.

    Args:
        path: named in refusals.
        data: the whole file.

    Returns:
        [H, W] uint8, bone bright.

    Raises:
        ImageError: any code but missing and unknown-kind. It names numbers and tags, never the
            texts of a file, which may name a patient.
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
        with quiet():
            dicom = dcmread(_Bounded(path, data), specific_tags=list(_TAGS))
            tags = _pixel_tags(path, syntax, dicom)
            _check_tables(path, dicom)
        values = stored_values(path, tags, dicom)
        with quiet():
            return _finish(path, tags, values, dicom)
    except ImageError:
        raise
    except Exception as error:  # pydicom fails in many ways on damaged files
        raise ImageError(
            "damaged",
            f"{path} is not a readable DICOM image ({type(error).__name__}): fetch it again",
        ) from error


class _Bounded(io.BytesIO):
    """A file that may be read only so many times: millions of tiny elements cost gigabytes."""

    def __init__(self, path: Path, data: bytes) -> None:
        super().__init__(data)
        self._path = path
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads > MAX_READS:
            raise ImageError(
                "too-heavy", f"{self._path} has more DICOM elements than {MAX_READS} reads pass"
            )
        return super().read(size)


def _transfer_syntax(path: Path, data: bytes) -> str:
    """How the file is written, from its first group alone: the rest may be packed."""
    place = 132
    while data[place : place + 2] == b"\x02\x00":
        head = data[place : place + 12]
        is_long = head[4:6] in {b"OB", b"UN", b"UT", b"OW", b"SQ"}
        length = int.from_bytes(head[8:12] if is_long else head[6:8], "little")
        start = place + (12 if is_long else 8)
        if start + length > len(data):
            raise truncated(path, "the DICOM header")
        if head[2:4] == b"\x10\x00":
            syntax = data[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")
            if syntax in SYNTAXES:
                return syntax
            known = "deflated, which can hide any size" if syntax == DEFLATED else repr(syntax)
            raise ImageError(
                "unsupported",
                f"{path} has a transfer syntax that is {known}: store it uncompressed",
            )
        place = start + length
    raise damaged(path, "no DICOM transfer syntax")


def _pixel_tags(path: Path, syntax: str, dicom: Dataset) -> PixelTags:
    """How the pixels are stored, after all limits that need no decoding."""
    rows, columns = _whole(path, dicom, "Rows"), _whole(path, dicom, "Columns")
    check_pixels(path, rows, columns)
    frames = _whole(path, dicom, "NumberOfFrames", default=1)
    if frames != 1:
        raise ImageError(
            "multi-frame", f"{path} has {frames} frames: give one radiograph with a single frame"
        )
    photometric = str(dicom.get("PhotometricInterpretation", ""))
    samples = _whole(path, dicom, "SamplesPerPixel", default=1)
    if photometric not in {"MONOCHROME1", "MONOCHROME2"} or samples != 1:
        kind = photometric if photometric.replace("_", "").isalnum() else "of unknown kind"
        raise ImageError(
            "not-grey", f"{path}: its pixels are {kind!r} with {samples} samples: grey is needed"
        )
    if "PixelData" not in dicom:
        is_float = "FloatPixelData" in dicom or "DoubleFloatPixelData" in dicom
        if is_float:
            raise ImageError(
                "unsupported", f"{path} has fractions as pixels: whole numbers are read"
            )
        raise truncated(path, "the DICOM header: it has no pixels")
    if (_length(dicom, "PixelData") == 0xFFFFFFFF) == (syntax in NATIVE):
        raise damaged(path, f"the pixels are not written as transfer syntax {syntax} says")
    allocated = _whole(path, dicom, "BitsAllocated")
    stored = _whole(path, dicom, "BitsStored", default=allocated)
    high = _whole(path, dicom, "HighBit", default=stored - 1)
    signed = _whole(path, dicom, "PixelRepresentation", default=0)
    if allocated not in {8, 16}:
        raise ImageError("unsupported", f"{path} has {allocated} bits a pixel: 8 or 16 are read")
    if not (2 <= stored <= high + 1 <= allocated and signed in {0, 1}):
        raise damaged(path, f"{stored} bits stored up to bit {high} of {allocated}, sign {signed}")
    return PixelTags(syntax, rows, columns, allocated, stored, high, bool(signed))


def _whole(path: Path, dicom: Dataset, name: str, default: int | None = None) -> int:
    value: Any = dicom.get(name)
    if value is None and default is not None:
        return default
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise damaged(path, f"DICOM element {name} is missing or no whole number") from error


def _length(dicom: Dataset, name: str) -> int:
    """Bytes of an element as written; 0 where pydicom has parsed it already."""
    return int(getattr(dicom.get_item(name), "length", 0))


def _check_tables(path: Path, dicom: Dataset) -> None:
    """Empty elements count as absent; look-up tables are weighed before they are parsed."""
    for name in _OPTIONAL:
        if name not in dicom:
            continue
        length = _length(dicom, name)
        if name in _SEQUENCES and MAX_LUT < length < 0xFFFFFFFF:
            raise ImageError("too-heavy", f"{path}: {name} weighs {length} bytes, limit {MAX_LUT}")
        value = dicom[name].value
        if value is None or (hasattr(value, "__len__") and len(value) == 0):
            del dicom[name]


def _finish(path: Path, tags: PixelTags, values: Whole, dicom: Dataset) -> Bytes:
    """One table from stored to finished values, then one look at every pixel."""
    lowest, highest = int(values.min()), int(values.max())
    counts = histogram(values, highest - lowest + 1, lowest)
    levels = np.arange(lowest, highest + 1).astype(values.dtype)
    is_image = (counts > 0) & ~_is_padding(path, levels, dicom)
    seen = shown(path, levels[is_image], dicom, is_big=tags.syntax == BIG_ENDIAN)
    if len(seen) < 2 or seen.min() == seen.max():
        raise ImageError(
            "blank", f"{path} is blank: all pixels are one grey; check the file or its window"
        )
    eight = np.zeros(len(levels), dtype=np.uint8)
    eight[is_image] = stretch(seen, is_inverted=dicom.PhotometricInterpretation == "MONOCHROME1")
    eight_counts = np.zeros(256, dtype=np.int64)
    np.add.at(eight_counts, eight[is_image], counts[is_image])
    table = equalising(eight_counts)[eight]
    table[~is_image] = 0
    return lookup(table, values, lowest)


def _is_padding(path: Path, levels: Whole, dicom: Dataset) -> npt.NDArray[np.bool_]:
    """Which stored values mean "no image here"."""
    if "PixelPaddingValue" not in dicom:
        return np.zeros(len(levels), dtype=np.bool_)
    first = _whole(path, dicom, "PixelPaddingValue")
    last = _whole(path, dicom, "PixelPaddingRangeLimit", default=first)
    # the two may be written without the sign of the pixels
    ends = np.array([first, last]).astype(levels.dtype).astype(np.int64)
    found: npt.NDArray[np.bool_] = (levels >= ends.min()) & (levels <= ends.max())
    return found
