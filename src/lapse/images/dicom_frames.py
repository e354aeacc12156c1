"""The pixel data of a DICOM with one frame -> the integers that were stored.

    native                       numpy
    RLE                          pydicom
    JPEG of 8 bits, JPEG 2000    Pillow
    JPEG of 12 bits, lossless    GDCM, in a separate process (gdcm_worker.py)
    JPEG-LS                      the same

The size and depth in the codestream are compared with the tags of the DICOM before a decoder
runs. Source: DICOM PS3.5, sections 8 and 10, annexes A and G.
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
from lapse.images.errors import (
    ImageError,
    check_compression,
    check_size,
    damaged,
    truncated,
    unsupported,
)
from lapse.images.intensity import IntegerImage
from lapse.images.jpeg2000_header import START, Jpeg2000Header, jpeg2000_header
from lapse.images.jpeg_header import BASELINE, EXTENDED, JPEG_LS, LOSSLESS, JpegFrame, jpeg_frame
from lapse.images.pydicom_quiet import quiet_pydicom

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Transfer syntaxes (DICOM PS3.6, annex A).
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
# implicit and explicit little endian, explicit big endian
NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", EXPLICIT_BIG_ENDIAN}
JPEG = {  # the coding processes that each syntax may hold
    JPEG_BASELINE: {BASELINE},
    "1.2.840.10008.1.2.4.51": {BASELINE, EXTENDED},
    "1.2.840.10008.1.2.4.57": {LOSSLESS},
    "1.2.840.10008.1.2.4.70": {LOSSLESS},  # first-order prediction
    "1.2.840.10008.1.2.4.80": {JPEG_LS},
    "1.2.840.10008.1.2.4.81": {JPEG_LS},  # near-lossless
}
JPEG_2000 = {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"}  # lossless, lossy
SYNTAXES = {*NATIVE, RLE, *JPEG, *JPEG_2000}

UNDEFINED_LENGTH = 0xFFFFFFFF  # of an element that consists of items
BYTES_PER_PIXEL = 20  # while a compressed frame is decoded and processed
MAX_FRAGMENTS = 10_000
GDCM_TIMEOUT = 9.0  # seconds
_GDCM_WORKER = Path(__file__).with_name("gdcm_worker.py")


@dataclass(frozen=True, slots=True)
class PixelTags:
    """How the pixels are stored: sizes in pixels, the rest in bits."""

    syntax: str
    rows: int
    columns: int
    allocated: int
    stored: int
    high: int
    is_signed: bool
    photometric: str = "MONOCHROME2"
    samples: int = 1
    is_planar: bool = False

    @property
    def num_bytes(self) -> int:
        """Bytes of the uncompressed pixels."""
        return self.rows * self.columns * self.samples * self.allocated // 8


def read_stored_values(path: Path, tags: PixelTags, dicom: Dataset) -> IntegerImage:
    """The stored integers, without the unused bits around them. # [H, W], colours [H, W, 3]

    Raises:
        ImageError: truncated, damaged, too-many-pixels, multi-frame, unsupported.
    """
    if tags.syntax in NATIVE:
        return _native(path, tags, dicom["PixelData"].VR, dicom.PixelData)
    check_size(path, tags.rows, tags.columns, BYTES_PER_PIXEL)
    frame = _frame(path, dicom.PixelData)
    check_compression(path, tags.rows, tags.columns, len(frame))
    if tags.samples > 1 and tags.syntax not in {JPEG_BASELINE, *JPEG_2000}:
        problem = f"has colours in transfer syntax {tags.syntax}: store it uncompressed"
        raise unsupported(path, problem)
    if tags.syntax == RLE:
        return _used_bits(tags, _rle(path, tags, frame, dicom))
    decode = _jpeg2000 if tags.syntax in JPEG_2000 else _jpeg
    values = decode(path, tags, frame)
    if not tags.is_signed and int(values.max()) >> tags.stored:
        raise damaged(path, f"pixels of up to {values.max()} in {tags.stored} stored bits")
    return values


def _native(path: Path, tags: PixelTags, representation: str, data: bytes) -> IntegerImage:
    if len(data) < tags.num_bytes:
        raise truncated(path, f"its pixels: {len(data)} of {tags.num_bytes} bytes")
    if len(data) >= 2 * tags.num_bytes:
        raise ImageError(
            "multi-frame",
            f"{path} has {len(data)} bytes of pixels and its size needs {tags.num_bytes}: give "
            "one radiograph with a single frame",
        )
    is_big_endian = tags.syntax == EXPLICIT_BIG_ENDIAN
    if tags.allocated == 16:
        values = np.frombuffer(data, ">u2" if is_big_endian else "<u2").astype(np.uint16)
    elif is_big_endian and representation == "OW":  # two pixels in each swapped word
        values = np.frombuffer(data[: len(data) // 2 * 2], "<u2").byteswap().view(np.uint8)
    else:
        values = np.frombuffer(data, np.uint8)
    count, shape = tags.rows * tags.columns * tags.samples, (tags.rows, tags.columns)
    if tags.samples == 1:
        return _used_bits(tags, values[:count].reshape(shape))
    if tags.is_planar:
        return np.moveaxis(values[:count].reshape(tags.samples, *shape), 0, -1)
    return values[:count].reshape(*shape, tags.samples)


def _used_bits(tags: PixelTags, values: npt.NDArray[Any]) -> IntegerImage:
    """Stored bits only, with their sign: old files keep overlays in the bits above them."""
    num_above = np.uint8(tags.allocated - 1 - tags.high)
    num_unused = np.uint8(tags.allocated - tags.stored)
    raised = values << num_above
    if tags.is_signed:
        raised = raised.view(np.int8 if tags.allocated == 8 else np.int16)
    used: IntegerImage = raised >> num_unused
    return used


def _frame(path: Path, data: bytes) -> bytes:
    """The one compressed frame, its fragments joined."""
    from pydicom.encaps import generate_fragments, parse_basic_offsets

    stream = io.BytesIO(data)
    try:
        with quiet_pydicom():
            num_frames = len(parse_basic_offsets(stream))
            fragments = list(islice(generate_fragments(stream), MAX_FRAGMENTS + 1))
    except Exception as error:  # pydicom raises many exception types
        raise damaged(path, f"its fragments: {type(error).__name__}") from error
    if num_frames > 1:
        raise ImageError("multi-frame", f"{path} holds {num_frames} frames: give one radiograph")
    if len(fragments) > MAX_FRAGMENTS:
        raise ImageError(
            "too-many-bytes", f"{path} has more than {MAX_FRAGMENTS} fragments; one is usual"
        )
    return b"".join(fragments)


def _rle(path: Path, tags: PixelTags, frame: bytes, dicom: Dataset) -> npt.NDArray[Any]:
    """One run-length segment for each byte of a pixel, the high bytes first."""
    from pydicom.pixels.decoders.base import get_decoder

    if len(frame) < 64:
        raise truncated(path, "the RLE header")
    count, *offsets = struct.unpack("<16I", frame[:64])
    num_segments = tags.allocated // 8
    if count != num_segments:
        raise damaged(path, f"{count} RLE segments and {num_segments} are needed")
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
        with quiet_pydicom():
            decoded, _ = get_decoder(RLE).as_array(dicom, raw=True, decoding_plugin="pydicom")
    except Exception as error:  # pydicom raises many exception types
        raise damaged(path, f"its RLE runs: {type(error).__name__}") from error
    values: npt.NDArray[Any] = decoded.view(np.uint8 if tags.allocated == 8 else np.uint16)
    return values


def _jpeg(path: Path, tags: PixelTags, frame: bytes) -> IntegerImage:
    if frame[:2] != b"\xff\xd8":
        raise damaged(path, "no JPEG stream in a JPEG syntax")
    header = jpeg_frame(path, frame)
    if header.process not in JPEG[tags.syntax]:
        raise damaged(path, f"JPEG process {header.process} in transfer syntax {tags.syntax}")
    _check_frame(path, tags, header)
    is_lossy = header.process in {BASELINE, EXTENDED}
    if is_lossy and header.precision not in {8, 12}:  # GDCM writes such files
        raise damaged(path, f"JPEG process {header.process} with {header.precision} bits")
    if is_lossy and header.precision == 8:
        return np.asarray(_load(path, JpegImageFile, frame, tags.samples))
    return _gdcm(path, tags, header, frame)


def _jpeg2000(path: Path, tags: PixelTags, frame: bytes) -> IntegerImage:
    """Undo that Pillow shifts signed values by half their range and scales to 8 or 16 bits."""
    start = frame.find(START, 0, 4096)  # some writers wrap the codestream into a JP2 file
    if start < 0:
        raise damaged(path, "no JPEG 2000 codestream")
    stream = frame[start:]
    header = jpeg2000_header(path, stream)
    _check_frame(path, tags, header)
    if b"\xff\xd9" not in stream[-4:]:
        raise truncated(path, "the JPEG 2000 pixels: there is no end marker")
    if header.is_signed != tags.is_signed:
        raise damaged(path, "its stream and its tags disagree on the sign of its pixels")
    raw = np.asarray(_load(path, Jpeg2KImageFile, stream, tags.samples))
    depth = 8 if raw.dtype == np.uint8 else 16
    values: IntegerImage = raw >> np.uint8(depth - header.precision)
    if header.is_signed:
        values = (values.astype(np.int32) - (1 << (header.precision - 1))).astype(np.int16)
    return values


def _check_frame(path: Path, tags: PixelTags, header: JpegFrame | Jpeg2000Header) -> None:
    """Check that stream and tags agree on the size, and that a pixel fits into its bits."""
    size = (header.height, header.width, header.components)
    if size != (tags.rows, tags.columns, tags.samples):
        raise damaged(
            path,
            f"its stream holds {header.height} x {header.width} pixels of {header.components} "
            f"components and its tags say {tags.rows} x {tags.columns} of {tags.samples}",
        )
    if not 2 <= header.precision <= tags.allocated:
        raise damaged(path, f"{header.precision} bits per pixel and {tags.allocated} allocated")


def _load(path: Path, plugin: Any, stream: bytes, samples: int) -> Any:
    """A decoded stream: grey, or colours as RGB."""
    try:
        opened = plugin(io.BytesIO(stream))
        opened.load()
        if samples > 1:
            return opened.convert("RGB")
    except Exception as error:  # decoders raise many exception types
        raise damaged(path, f"its stream: {error}") from error
    if opened.mode not in {"L", "I;16"}:
        raise damaged(path, f"its stream is {opened.mode}, not grey")
    return opened


def _gdcm(path: Path, tags: PixelTags, header: JpegFrame, frame: bytes) -> IntegerImage:
    if importlib.util.find_spec("gdcm") is None:
        problem = f"has transfer syntax {tags.syntax} and GDCM is not installed"
        raise unsupported(path, f"{problem}: {install_command('dicom')}")
    numbers = (tags.rows, tags.columns, header.precision, int(tags.is_signed))
    command = [sys.executable, "-P", str(_GDCM_WORKER), tags.syntax, *map(str, numbers)]
    try:
        done = subprocess.run(
            command,
            input=frame,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=GDCM_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise damaged(path, f"its decoder took more than {GDCM_TIMEOUT} s") from error
    dtype = np.dtype(np.uint8 if header.precision <= 8 else np.uint16)
    if done.returncode or len(done.stdout) != tags.rows * tags.columns * dtype.itemsize:
        raise damaged(path, f"its decoder failed with exit code {done.returncode}")
    values = np.frombuffer(done.stdout, dtype.newbyteorder("<")).astype(dtype)
    values = values.reshape(tags.rows, tags.columns)
    if not tags.is_signed:
        return values
    num_unused = np.uint8(8 * dtype.itemsize - header.precision)
    raised: npt.NDArray[Any] = values << num_unused
    signed: IntegerImage = raised.view(np.int8 if dtype.itemsize == 1 else np.int16)
    return signed >> num_unused
