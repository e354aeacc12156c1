"""The headers of a JPEG or JPEG-LS stream, read before a decoder sees it.

    FF D8 | FF <marker> <length> <segment> ... | FF DA scan | ... | FF D9

The frame header (SOF) holds precision, height, width and the number of components. This reader is
used for files and for the frames inside a DICOM. Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lapse.images.errors import damaged, truncated, unsupported

START = b"\xff\xd8\xff"
MAX_SCANS = 64  # a progressive file decodes all its pixels once per scan; about ten are usual
MAX_SEGMENTS = 10_000
# Markers, the byte after FF.
FIRST_FRAME, JPEG_LS_FRAME = 0xC0, 0xF7  # SOF0, SOF55
FRAMES = {*range(FIRST_FRAME, 0xD0), JPEG_LS_FRAME} - {0xC4, 0xC8, 0xCC}  # without tables
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
WITHOUT_SEGMENT = {0x01, *range(0xD0, 0xD9)}
# Processes: the number of the frame marker.
BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS = 0, 1, 2, 3
JPEG_LS = JPEG_LS_FRAME - FIRST_FRAME
PROGRESSIVE_PROCESSES = {2, 6, 10, 14}


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """The frame header: sizes in pixels, precision in bits, and the coding process."""

    height: int
    width: int
    components: int
    precision: int
    process: int

    @property
    def is_progressive(self) -> bool:
        """Whether a decoder keeps the coefficients of the complete image."""
        return self.process in PROGRESSIVE_PROCESSES


def jpeg_frame(path: Path, data: bytes) -> JpegFrame:
    """The frame header of a stream that has a scan, an end, and not too many scans.

    Raises:
        ImageError: truncated, damaged.
    """
    frame: JpegFrame | None = None
    position = 2
    for _ in range(MAX_SEGMENTS):
        marker, position = _read_marker(path, data, position)
        if marker in WITHOUT_SEGMENT:
            continue
        if marker == END_OF_IMAGE:
            raise truncated(path, "a JPEG without pixels")
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2 or position + length > len(data):
            raise truncated(path, f"JPEG segment {marker:#x} of {length} bytes")
        if marker in FRAMES:
            if frame is not None:
                raise damaged(path, "two JPEG frame headers")
            frame = _parse_frame(path, marker, data[position + 2 : position + length])
        position += length
        if marker == START_OF_SCAN:
            if frame is None:
                raise damaged(path, "JPEG pixels without a frame header")
            _check_scans(path, data, position)
            return frame
    raise damaged(path, f"more than {MAX_SEGMENTS} JPEG segments")


def _read_marker(path: Path, data: bytes, position: int) -> tuple[int, int]:
    """The marker at or after fill bytes, and where its segment starts."""
    if data[position : position + 1] not in {b"\xff", b""}:
        raise damaged(path, f"no JPEG marker at byte {position}")
    while data[position : position + 1] == b"\xff":
        position += 1
    if position >= len(data):
        raise truncated(path, "the JPEG header")
    return data[position], position + 1


def _parse_frame(path: Path, marker: int, segment: bytes) -> JpegFrame:
    if len(segment) < 6:
        raise damaged(path, f"a JPEG frame header of {len(segment)} bytes")
    height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    return JpegFrame(height, width, segment[5], segment[0], marker - FIRST_FRAME)


def _check_scans(path: Path, data: bytes, position: int) -> None:
    """Count the markers in the pixels: every FF of the pixels is followed by a zero byte."""
    stream = np.frombuffer(data, np.uint8, offset=position)
    markers = stream[np.flatnonzero(stream[:-1] == 0xFF) + 1]
    ends = np.flatnonzero(markers == END_OF_IMAGE)
    if not ends.size:
        raise truncated(path, "the JPEG pixels: there is no end marker")
    scans = 1 + int(np.count_nonzero(markers[: ends[0]] == START_OF_SCAN))
    if scans > MAX_SCANS:
        raise unsupported(
            path,
            f"holds its pixels in {scans} scans and the limit is {MAX_SCANS}: export the image "
            "again as a baseline JPEG",
        )
