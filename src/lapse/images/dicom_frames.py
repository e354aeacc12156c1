"""The pixel data of a DICOM with one grey frame -> the integers that were stored.

    native                       numpy
    RLE                          pydicom
    JPEG of 8 bits, JPEG 2000    Pillow
    JPEG of 12 bits, lossless    GDCM, in a process of its own (gdcm_child.py)
    JPEG-LS                      GDCM, likewise

What the codestream says of its own size and depth is compared with the DICOM's tags before a
decoder sees it. Source: DICOM PS3.5, sections 8 and 10, annexes A and G.
"""

from __future__ import annotations

import importlib.util
import io
import struct
import subprocess
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile

from lapse.core.extras import install_command
from lapse.images.errors import ImageError, check_pixels, check_ratio, damaged, truncated
from lapse.images.intensity import Whole
from lapse.images.jpeg2000_header import codestream, size_marker
from lapse.images.jpeg_header import JPEG_LS, LOSSLESS, JpegFrame, jpeg_frame
from lapse.images.pydicom_quiet import quiet

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

BIG_ENDIAN = "1.2.840.10008.1.2.2"
NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", BIG_ENDIAN}
RLE = "1.2.840.10008.1.2.5"
JPEG = {  # the processes (low bytes of the frame marker) that each syntax may hold
    "1.2.840.10008.1.2.4.50": {0},
    "1.2.840.10008.1.2.4.51": {0, 1},
    "1.2.840.10008.1.2.4.57": {LOSSLESS},
    "1.2.840.10008.1.2.4.70": {LOSSLESS},
    "1.2.840.10008.1.2.4.80": {JPEG_LS},
    "1.2.840.10008.1.2.4.81": {JPEG_LS},
}
JPEG_2000 = {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"}
SYNTAXES = {*NATIVE, RLE, *JPEG, *JPEG_2000}

HELD = 20  # bytes a pixel while a compressed frame is decoded and finished
MAX_FRAGMENTS = 10_000
WAIT_SECONDS = 9.0
_CHILD = Path(__file__).with_name("gdcm_worker.py")


@dataclass(frozen=True, slots=True)
class PixelTags:
    """How the pixels are stored, checked: sizes in pixels, the rest in bits."""

    syntax: str
    rows: int
    columns: int
    allocated: int
    stored: int
    high: int
    is_signed: bool


def stored_values(path: Path, tags: PixelTags, dicom: Dataset) -> Whole:
    """The stored integers, without the unused bits around them. # [H, W]

    Raises:
        ImageError: truncated, damaged, too-large, multi-frame, unsupported.
    """
    if tags.syntax in NATIVE:
        return _native(path, tags, dicom["PixelData"].VR, dicom.PixelData)
    check_pixels(path, tags.rows, tags.columns, HELD)
    frame = _frame(path, dicom.PixelData)
    check_ratio(path, tags.rows, tags.columns, len(frame))
    if tags.syntax == RLE:
        return _used_bits(tags, _rle(path, tags, frame, dicom))
    decode = _jpeg2000 if tags.syntax in JPEG_2000 else _jpeg
    values = decode(path, tags, frame)
    if not tags.is_signed and int(values.max()) >> tags.stored:
        raise damaged(path, f"pixels of up to {values.max()} in {tags.stored} stored bits")
    return values


def _native(path: Path, tags: PixelTags, kind: str, data: bytes) -> Whole:
    num_bytes = tags.rows * tags.columns * tags.allocated // 8
    if len(data) < num_bytes:
        raise truncated(path, f"its pixels: {len(data)} of {num_bytes} bytes")
    if len(data) > num_bytes + num_bytes % 2:
        raise damaged(path, f"{len(data)} bytes of pixels and its size needs {num_bytes}")
    is_big = tags.syntax == BIG_ENDIAN
    if tags.allocated == 16:
        values = np.frombuffer(data, ">u2" if is_big else "<u2").astype(np.uint16)
    elif is_big and kind == "OW":  # two pixels in each swapped word
        values = np.frombuffer(data[: len(data) // 2 * 2], "<u2").byteswap().view(np.uint8)
    else:
        values = np.frombuffer(data, np.uint8)
    return _used_bits(tags, values[: tags.rows * tags.columns].reshape(tags.rows, tags.columns))


def _used_bits(tags: PixelTags, values: npt.NDArray[Any]) -> Whole:
    """Stored bits only, with their sign: old files keep overlays in the bits above."""
    above = np.uint8(tags.allocated - 1 - tags.high)
    around = np.uint8(tags.allocated - tags.stored)
    raised = values << above
    if tags.is_signed:
        raised = raised.view(np.int8 if tags.allocated == 8 else np.int16)
    used: Whole = raised >> around
    return used


def _frame(path: Path, data: bytes) -> bytes:
    """The one compressed frame, its fragments joined."""
    from pydicom.encaps import generate_fragments, parse_basic_offsets

    stream = io.BytesIO(data)
    try:
        with quiet():
            num_frames = len(parse_basic_offsets(stream))
            fragments = list(islice(generate_fragments(stream), MAX_FRAGMENTS + 1))
    except Exception as error:  # pydicom fails in many ways on damaged items
        raise damaged(path, f"its fragments: {type(error).__name__}") from error
    if num_frames > 1:
        raise ImageError("multi-frame", f"{path} holds {num_frames} frames: give one radiograph")
    if len(fragments) > MAX_FRAGMENTS:
        raise ImageError(
            "too-heavy", f"{path} has more than {MAX_FRAGMENTS} fragments: one is usual"
        )
    return b"".join(fragments)


def _rle(path: Path, tags: PixelTags, frame: bytes, dicom: Dataset) -> npt.NDArray[Any]:
    """One run-length segment for each byte of a pixel, the high bytes first."""
    from pydicom.pixels.decoders.base import get_decoder

    if len(frame) < 64:
        raise truncated(path, "the RLE header")
    count, *offsets = struct.unpack("<16I", frame[:64])
    wanted = tags.allocated // 8
    if count != wanted:
        raise damaged(path, f"{count} RLE segments and {wanted} are needed")
    ends = [*offsets[1:count], len(frame)]
    pixels = tags.rows * tags.columns
    for start, end in zip(offsets[:count], ends, strict=True):
        if not 64 <= start <= end <= len(frame):
            raise damaged(path, f"an RLE segment at {start} .. {end} of {len(frame)} bytes")
        if (end - start) * 64 < pixels:
            raise truncated(path, f"an RLE segment of {end - start} bytes for {pixels} pixels")
        if end - start > pixels + pixels // 64 + 1024:
            raise damaged(path, f"an RLE segment of {end - start} bytes for {pixels} pixels")
    try:
        with quiet():
            found, _ = get_decoder(RLE).as_array(dicom, raw=True, decoding_plugin="pydicom")
    except Exception as error:  # pydicom fails in many ways on damaged runs
        raise damaged(path, f"its RLE runs: {type(error).__name__}") from error
    values: npt.NDArray[Any] = found.view(np.uint8 if tags.allocated == 8 else np.uint16)
    return values


def _jpeg(path: Path, tags: PixelTags, frame: bytes) -> Whole:
    if frame[:2] != b"\xff\xd8":
        raise damaged(path, "no JPEG stream in a JPEG syntax")
    found = jpeg_frame(path, frame)
    if found.process not in JPEG[tags.syntax]:
        raise damaged(path, f"JPEG process {found.process} in transfer syntax {tags.syntax}")
    _check_frame(path, tags, (found.height, found.width, found.components, found.precision))
    if found.process <= 1 and found.precision not in {8, 12}:  # GDCM itself writes such files
        raise damaged(path, f"JPEG process {found.process} with {found.precision} bits")
    if found.process <= 1 and found.precision == 8:
        return np.asarray(_load(path, JpegImageFile, frame))
    return _gdcm(path, tags, found, frame)


def _jpeg2000(path: Path, tags: PixelTags, frame: bytes) -> Whole:
    """Pillow moves signed values up by half their range and fills 16 bits from the top."""
    stream = codestream(path, frame)
    size = size_marker(path, stream)
    _check_frame(path, tags, (size.height, size.width, size.components, size.precision))
    if b"\xff\xd9" not in stream[-4:]:
        raise truncated(path, "the JPEG 2000 pixels: there is no end marker")
    if size.is_signed != tags.is_signed:
        raise damaged(path, "the sign of its pixels, told twice and differently")
    raw = np.asarray(_load(path, Jpeg2KImageFile, stream))
    depth = 8 if raw.dtype == np.uint8 else 16
    values: Whole = raw >> np.uint8(depth - size.precision)
    if size.is_signed:
        values = (values.astype(np.int32) - (1 << (size.precision - 1))).astype(np.int16)
    return values


def _check_frame(path: Path, tags: PixelTags, told: tuple[int, int, int, int]) -> None:
    """The size in the stream is the size in the tags, and a pixel fits into its bits."""
    height, width, components, precision = told
    if (height, width, components) != (tags.rows, tags.columns, 1):
        raise damaged(
            path,
            f"its stream holds {height} x {width} pixels of {components} components and its tags "
            f"say {tags.rows} x {tags.columns} of 1",
        )
    if not 2 <= precision <= tags.allocated:
        raise damaged(path, f"{precision} bits a pixel and {tags.allocated} allocated")


def _load(path: Path, plugin: Any, stream: bytes) -> Any:
    try:
        opened = plugin(io.BytesIO(stream))
        opened.load()
    except Exception as error:  # decoders of damaged streams fail in many ways
        raise damaged(path, f"its stream: {error}") from error
    if opened.mode not in {"L", "I;16"}:
        raise damaged(path, f"its stream is {opened.mode}, no grey")
    return opened


def _gdcm(path: Path, tags: PixelTags, found: JpegFrame, frame: bytes) -> Whole:
    if importlib.util.find_spec("gdcm") is None:
        raise ImageError(
            "unsupported",
            f"{path} has transfer syntax {tags.syntax} and GDCM is not installed: "
            f"{install_command('dicom')}",
        )
    numbers = (tags.rows, tags.columns, found.precision, int(tags.is_signed))
    command = [sys.executable, "-P", str(_CHILD), tags.syntax, *(str(n) for n in numbers)]
    try:
        done = subprocess.run(
            command,
            input=frame,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=WAIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise damaged(path, f"its decoder did not end in {WAIT_SECONDS} s") from error
    kind = np.dtype(np.uint8 if found.precision <= 8 else np.uint16)
    if done.returncode or len(done.stdout) != tags.rows * tags.columns * kind.itemsize:
        raise damaged(path, f"its decoder gave up with code {done.returncode}")
    values = np.frombuffer(done.stdout, kind.newbyteorder("<")).astype(kind)
    values = values.reshape(tags.rows, tags.columns)
    if not tags.is_signed:
        return values
    above = np.uint8(8 * kind.itemsize - found.precision)
    raised: npt.NDArray[Any] = values << above
    signed: Whole = raised.view(np.int8 if kind.itemsize == 1 else np.int16)
    return signed >> above
