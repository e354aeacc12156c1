"""The header of a JPEG 2000 codestream, read before OpenJPEG decodes it.

    FF 4F | FF 51 length capabilities Xsiz Ysiz XOsiz YOsiz XT YT XTO YTO components (depth dx dy)

A few changed bytes here make a decoder allocate gigabytes for a thumbnail, so the size must match
the DICOM and the number of tiles is limited. Source: ITU-T T.800, annex A.5.1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from lapse.images.errors import damaged, truncated, unsupported

START = b"\xff\x4f\xff\x51"
MAX_TILES = 1024


@dataclass(frozen=True, slots=True)
class Jpeg2000Header:
    """Size in pixels, precision in bits."""

    height: int
    width: int
    components: int
    precision: int
    is_signed: bool


def jpeg2000_header(path: Path, stream: bytes) -> Jpeg2000Header:
    """The size marker of a codestream.

    Raises:
        ImageError: truncated, damaged, unsupported.
    """
    if len(stream) < 45:
        raise truncated(path, "the JPEG 2000 header")
    x1, y1, x0, y0, tile_x, tile_y, tx0, ty0, count = struct.unpack(">8IH", stream[8:42])
    depth, step_x, step_y = stream[42:45]
    if not (x0 < x1 and y0 < y1 and tx0 <= x0 and ty0 <= y0 and tile_x and tile_y):
        raise damaged(path, "impossible sizes in the JPEG 2000 header")
    tiles = -((tx0 - x1) // tile_x) * -((ty0 - y1) // tile_y)
    if tiles > MAX_TILES or (step_x, step_y) != (1, 1):
        raise unsupported(
            path,
            f"has {tiles} JPEG 2000 tiles, sampled {step_x} x {step_y}, and the limit is "
            f"{MAX_TILES}, sampled 1 x 1: store it uncompressed",
        )
    return Jpeg2000Header(y1 - y0, x1 - x0, count, (depth & 0x7F) + 1, bool(depth & 0x80))
