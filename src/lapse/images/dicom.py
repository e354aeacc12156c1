"""A DICOM radiograph -> grey values of 8 bits, bone bright, before equalisation.

    mimic     stored values ----------------------------------------> min-max to 8 bits -> inverted
    display   stored values -> rescale, VOI LUT or window, no padding -> the same

"mimic" is how MIMIC-CXR-JPG was made (Johnson et al. 2019, arXiv:1901.07042, and the conversion
that its authors published): no rescale, no window, scaling truncated, MONOCHROME1 inverted after
it. "display" is what a viewer shows. Both are functions of one stored value, so they are computed
once for each value that occurs. Equalisation follows for every format (lapse.images.read). Source:
DICOM PS3.3, C.7.5.1.1.2, C.7.6.3, C.11.1, C.11.2.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lapse.core.extras import install_command
from lapse.images.dicom_colour import COLOURS, grey_of_colours
from lapse.images.dicom_frames import (
    EXPLICIT_BIG_ENDIAN,
    NATIVE,
    SYNTAXES,
    UNDEFINED_LENGTH,
    PixelTags,
    read_stored_values,
)
from lapse.images.dicom_header import MAGIC, PREAMBLE, standard_dicom
from lapse.images.errors import ImageError, check_size, damaged, truncated, unsupported
from lapse.images.intensity import (
    ByteImage,
    IntegerImage,
    apply_table,
    histogram,
    min_max_scale,
    percentile_window,
)
from lapse.images.pydicom_quiet import quiet_pydicom
from lapse.images.voi_lut import MODALITY, VOI, displayed_values

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DEFLATED = "1.2.840.10008.1.2.1.99"  # a small deflated DICOM can decompress to gigabytes
MAX_READS = 100_000  # of the parser; about a thousand are usual
MAX_LUT = 1024 * 1024  # bytes of a look-up table with its description
_IGNORED = "DICOM display element ignored"
_PADDING = ("PixelPaddingValue", "PixelPaddingRangeLimit")
_TAGS = (
    *MODALITY,
    *VOI,
    *_PADDING,
    "SamplesPerPixel",
    "PlanarConfiguration",
    *(
        f"{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
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


@dataclass(frozen=True, slots=True, eq=False)
class DicomImage:
    """The grey values of a DICOM, [H, W] uint8 before equalisation, and what was ignored."""

    grey: ByteImage
    notes: tuple[str, ...]


def read_dicom(path: Path, data: bytes, intensity: str = "mimic") -> DicomImage:
    """The grey values of a DICOM with one frame.

    Args:
        path: named in errors.
        data: the content of the file.
        intensity: one of lapse.images.INTENSITIES.

    Raises:
        ImageError: any code except missing and unknown-format. It names numbers and tags, never
            texts of the file, which may name a patient.
    """
    data, is_changed = standard_dicom(data)
    syntax = _transfer_syntax(path, data)
    try:
        from pydicom import dcmread
    except ImportError as error:
        problem = f"is a DICOM and pydicom is not installed: {install_command('dicom')}"
        raise unsupported(path, problem) from error
    notes = ["DICOM without preamble or file meta information"] if is_changed else []
    try:
        with quiet_pydicom():
            dicom = dcmread(_LimitedReads(path, data), specific_tags=list(_TAGS))
            tags = _pixel_tags(path, syntax, dicom)
            notes += _clean_optional(dicom)
        values = read_stored_values(path, tags, dicom)
        num_padded = tags.num_bytes + tags.num_bytes % 2
        if tags.syntax in NATIVE and len(dicom.PixelData) > num_padded:
            notes.append("bytes after the DICOM pixels ignored")
        with quiet_pydicom():
            if tags.photometric in COLOURS:
                grey = grey_of_colours(path, tags, values, dicom)
                return DicomImage(grey, (*notes, "grey DICOM stored in colour"))
            grey, ignored = _process(path, tags, values, dicom, intensity)
            return DicomImage(grey, (*notes, *(f"{_IGNORED}: {reason}" for reason in ignored)))
    except ImageError:
        raise
    except Exception as error:  # pydicom raises many exception types for damaged files
        raise ImageError(
            "damaged",
            f"{path} is not a readable DICOM image ({type(error).__name__}): fetch it again",
        ) from error


def read_dicom_header(path: Path, data: bytes) -> Dataset:
    """The header of a DICOM, with the limits of `read_dicom`, before its pixels.

    Raises:
        ImageError: damaged, truncated, unsupported (deflated, for example), too-many-bytes.
    """
    data, _ = standard_dicom(data)
    _transfer_syntax(path, data)  # a deflated header could have any size
    from pydicom import dcmread

    try:
        with quiet_pydicom():
            return dcmread(_LimitedReads(path, data), stop_before_pixels=True)
    except ImageError:
        raise
    except Exception as error:  # pydicom raises many exception types for damaged files
        raise damaged(path, f"its header cannot be read: {type(error).__name__}") from None


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
    position = PREAMBLE + len(MAGIC)
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
            raise unsupported(path, f"has a transfer syntax that is {name}: store it uncompressed")
        position = start + length
    raise damaged(path, "no DICOM transfer syntax")


def _pixel_tags(path: Path, syntax: str, dicom: Dataset) -> PixelTags:
    """How the pixels are stored; checks all limits that need no decoding."""
    rows, columns = _integer(path, dicom, "Rows"), _integer(path, dicom, "Columns")
    check_size(path, rows, columns)
    frames = _integer(path, dicom, "NumberOfFrames", default=1)
    if frames > 1 or frames < 0:
        raise ImageError(
            "multi-frame", f"{path} has {frames} frames: give one radiograph with a single frame"
        )
    photometric = str(dicom.get("PhotometricInterpretation", ""))
    samples = _integer(path, dicom, "SamplesPerPixel", default=1)
    if samples != {"MONOCHROME1": 1, "MONOCHROME2": 1, **COLOURS}.get(photometric):
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
        raise unsupported(path, f"has {allocated} bits per pixel: 8 or 16 are read")
    if not (2 <= stored <= high + 1 <= allocated and signed in {0, 1}):
        raise damaged(path, f"{stored} bits stored up to bit {high} of {allocated}, sign {signed}")
    if samples > 1 and (allocated, stored, signed) != (8, 8, 0):
        raise unsupported(path, f"has colours of {stored} bits: store it as 8 bits or as grey")
    planes = _integer(path, dicom, "PlanarConfiguration", default=0) if samples > 1 else 0
    bits = (allocated, stored, high, bool(signed))
    return PixelTags(syntax, rows, columns, *bits, photometric, samples, is_planar=bool(planes))


def _check_pixel_data(path: Path, syntax: str, dicom: Dataset) -> None:
    if "PixelData" not in dicom:
        if "FloatPixelData" in dicom or "DoubleFloatPixelData" in dicom:
            raise unsupported(path, "has floating-point pixels: integers are supported")
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


def _clean_optional(dicom: Dataset) -> list[str]:
    """Remove empty optional elements, and display elements that cannot be parsed, with reasons."""
    ignored = []
    for name in (*MODALITY, *VOI, *_PADDING):
        if name not in dicom:
            continue
        length = _length(dicom, name)
        if name.endswith("Sequence") and MAX_LUT < length < UNDEFINED_LENGTH:
            ignored.append(f"{_IGNORED}: look-up table of more than {MAX_LUT} bytes")
            del dicom[name]
            continue
        try:
            value = dicom[name].value
            is_empty = value is None or (hasattr(value, "__len__") and len(value) == 0)
        except Exception:  # pydicom raises many exception types
            ignored.append(f"{_IGNORED}: {name} that is not a number")
            is_empty = True
        if is_empty:
            del dicom[name]
    return ignored


def _process(
    path: Path, tags: PixelTags, values: IntegerImage, dicom: Dataset, intensity: str
) -> tuple[ByteImage, tuple[str, ...]]:
    """All steps on the table of stored values, then one look-up per pixel.

    Display elements are also checked under "mimic", so that a broken one is always named.
    """
    lowest, highest = int(values.min()), int(values.max())
    levels = np.arange(lowest, highest + 1).astype(values.dtype)
    is_padding = _is_padding(path, levels, dicom)
    if lowest == highest or is_padding.all():
        raise ImageError("blank", f"{path} is blank: all its pixels are one grey, or padding")
    counts = histogram(values, len(levels), lowest)
    is_image = counts > 0
    if intensity == "display":
        is_image &= ~is_padding
    is_big_endian = tags.syntax == EXPLICIT_BIG_ENDIAN
    displayed, ignored = displayed_values(levels[is_image], dicom, is_big_endian=is_big_endian)
    table = np.zeros(len(levels), dtype=np.uint8)  # padding is black
    shown = displayed if intensity == "display" else levels[is_image]
    if intensity == "percentile":
        low, high = percentile_window(counts)
        shown = np.clip(levels[is_image], levels[low], levels[high])
    scaled = min_max_scale(shown)
    table[is_image] = 255 - scaled if tags.photometric == "MONOCHROME1" else scaled
    return apply_table(table, values, lowest), ignored


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
