"""What a JPEG or JPEG-LS stream says about itself, read before any decoder sees it.

    FF D8 | FF <marker> <length> <segment> ... | FF DA scan | ... | FF D9

The frame header (SOF) holds precision, height, width and the number of components. The same
reader serves files and the frames inside a DICOM. Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lapse.images.errors import ImageError, damaged, truncated

START = b"\xff\xd8\xff"
MAX_SCANS = 64  # a progressive file decodes all its pixels once a scan; usual are about ten
MAX_SEGMENTS = 10_000
LOSSLESS, JPEG_LS = 3, 0x37  # the low byte of the SOF marker, less 0xC0
_SCAN, _END = 0xDA, 0xD9
_NO_FRAME = {0xC4, 0xC8, 0xCC}  # tables among the frame markers
_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a segment


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """The frame header: sizes in pixels, precision in bits, process 0 baseline .. 0x37 JPEG-LS."""

    height: int
    width: int
    components: int
    precision: int
    process: int

    @property
    def is_progressive(self) -> bool:
        """Whether a decoder keeps the coefficients of the whole image."""
        return self.process in {2, 6, 10, 14}


def jpeg_frame(path: Path, data: bytes) -> JpegFrame:
    """The frame header of a stream that has a scan, an end, and not too many scans.

    Raises:
        ImageError: truncated, damaged.
    """
    frame: JpegFrame | None = None
    place = 2
    for _ in range(MAX_SEGMENTS):
        marker, place = _marker(path, data, place)
        if marker in _BARE:
            continue
        if marker == _END:
            raise truncated(path, "a JPEG without pixels")
        length = int.from_bytes(data[place : place + 2], "big")
        if length < 2 or place + length > len(data):
            raise truncated(path, f"JPEG segment {marker:#x} of {length} bytes")
        if (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME) or marker == 0xF7:
            if frame is not None:
                raise damaged(path, "two JPEG frame headers")
            frame = _frame(path, marker, data[place + 2 : place + length])
        place += length
        if marker == _SCAN:
            return _check_scans(path, data, place, frame)
    raise damaged(path, f"more than {MAX_SEGMENTS} JPEG segments")


def _marker(path: Path, data: bytes, place: int) -> tuple[int, int]:
    """The marker at or after fill bytes, and where its segment begins."""
    if data[place : place + 1] not in {b"\xff", b""}:
        raise damaged(path, f"no JPEG marker at byte {place}")
    while data[place : place + 1] == b"\xff":
        place += 1
    if place >= len(data):
        raise truncated(path, "the JPEG header")
    return data[place], place + 1


def _frame(path: Path, marker: int, segment: bytes) -> JpegFrame:
    if len(segment) < 6:
        raise damaged(path, f"a JPEG frame header of {len(segment)} bytes")
    height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    return JpegFrame(height, width, segment[5], segment[0], marker - 0xC0)


def _check_scans(path: Path, data: bytes, place: int, frame: JpegFrame | None) -> JpegFrame:
    """Scans hold no marker but their own: a zero byte follows every FF of the pixels."""
    if frame is None:
        raise damaged(path, "JPEG pixels without a frame header")
    stream = np.frombuffer(data, np.uint8, offset=place)
    codes = stream[np.flatnonzero(stream[:-1] == 0xFF) + 1]  # what follows each FF
    ends = np.flatnonzero(codes == _END)
    if not ends.size:
        raise truncated(path, "the JPEG pixels: there is no end marker")
    scans = 1 + int(np.count_nonzero(codes[: ends[0]] == _SCAN))
    if scans > MAX_SCANS:
        raise ImageError(
            "unsupported",
            f"{path} holds its pixels in {scans} scans and the limit is {MAX_SCANS}: "
            "export the image again as a baseline JPEG",
        )
    return frame
