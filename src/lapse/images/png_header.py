"""Checks of a PNG before it is decoded: complete chunks, checksums, and limits on compression.

    signature | length kind body crc | ... | IEND

The checksums find damage before anything is decompressed.
Source: W3C PNG, third edition, sections 5, 11 and 13.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lapse.images.errors import ImageError, check_size, damaged, truncated

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 50_000
MAX_TEXT = 1024 * 1024  # decompressed bytes of all texts and colour profiles
MAX_DEFLATE = 1032  # the highest compression ratio of deflate
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PALETTE = 3
# The passes of an interlaced image: first column and row, and the steps from there.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


@dataclass(frozen=True, slots=True)
class PngHeader:
    """Size in pixels, depth in bits per sample, colour type as in IHDR, body of the eXIf chunk."""

    height: int
    width: int
    depth: int
    colour: int
    is_interlaced: bool
    exif: bytes = b""

    @property
    def num_bytes(self) -> int:
        """Bytes of all rows before compression, each with its filter byte."""
        passes = _PASSES if self.is_interlaced else ((0, 0, 1, 1),)
        total = 0
        for left, top, across, down in passes:
            columns = -((left - self.width) // across)
            rows = -((top - self.height) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + (columns * self.depth * _SAMPLES[self.colour] + 7) // 8)
        return total


def check_png(path: Path, data: bytes) -> PngHeader:
    """The header of a PNG, after all its chunks are checked.

    Raises:
        ImageError: truncated, damaged, too-many-bytes, too-many-pixels, multi-frame.
    """
    header: PngHeader | None = None
    num_unpacked = 0
    pixels: list[bytes] = []
    exif = b""
    has_palette = False
    for kind, body in _chunks(path, data):
        if (kind == b"IHDR") != (header is None):
            raise damaged(path, "a PNG needs one IHDR chunk, and it comes first")
        if kind == b"IHDR":
            header = _header(path, body)
        elif kind == b"acTL":
            raise ImageError("multi-frame", f"{path} is an animated PNG: give one radiograph")
        elif kind == b"IDAT":
            pixels.append(body)
        elif kind == b"eXIf":
            exif = body
        elif kind == b"PLTE":
            has_palette = True
        elif kind in {b"zTXt", b"iTXt", b"iCCP"}:
            num_unpacked += _unpacked_size(kind, body)
            if num_unpacked > MAX_TEXT:
                raise ImageError(
                    "too-many-bytes",
                    f"{path} holds texts or profiles that decompress to more than {MAX_TEXT} "
                    "bytes: export the image again without them",
                )
    if header is None:
        raise damaged(path, "a PNG without a header")
    if header.colour == _PALETTE and not has_palette:
        raise damaged(path, "a PNG with palette colours but no palette")
    _check_pixels(path, header, pixels)
    return replace(header, exif=exif)


def _check_pixels(path: Path, header: PngHeader, pixels: list[bytes]) -> None:
    """Check that the pixels decompress to all rows; Pillow fills missing rows with black."""
    needed, num_packed, num_bytes = header.num_bytes, sum(map(len, pixels)), 0
    if num_packed * MAX_DEFLATE >= needed:
        unpacker = zlib.decompressobj()
        try:
            for body in pixels:
                rest = body
                while rest and num_bytes < needed and not unpacker.eof:
                    num_bytes += len(unpacker.decompress(rest, MAX_TEXT))
                    rest = unpacker.unconsumed_tail
            while num_bytes < needed and (more := unpacker.decompress(b"", MAX_TEXT)):
                num_bytes += len(more)
        except zlib.error as error:
            raise damaged(path, f"its pixels do not decompress: {error}") from error
    if num_bytes < needed:
        raise ImageError(
            "truncated",
            f"{path} claims {header.height} x {header.width} pixels, which take {needed} bytes, "
            f"and its {num_packed} compressed bytes hold {num_bytes}: fetch the file again",
        )


def _chunks(path: Path, data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of every chunk before IEND."""
    position = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if position + 12 > len(data):
            raise truncated(path, "the PNG: there is no IEND chunk")
        length, kind = struct.unpack_from(">I4s", data, position)
        if position + 12 + length > len(data):
            raise truncated(path, f"PNG chunk {kind!r} of {length} bytes")
        body = data[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        if zlib.crc32(body, zlib.crc32(kind)) != checksum:
            raise damaged(path, f"checksum of PNG chunk {kind!r}")
        if kind == b"IEND":
            return
        yield kind, body
        position += 12 + length
    raise ImageError(
        "too-many-bytes", f"{path} has more than {MAX_CHUNKS} PNG chunks: export it again"
    )


def _header(path: Path, body: bytes) -> PngHeader:
    if len(body) != 13:
        raise damaged(path, f"a PNG header of {len(body)} bytes instead of 13")
    width, height, depth, colour, *methods, interlace = struct.unpack(">IIBBBBB", body)
    if depth not in _DEPTHS.get(colour, ()) or any(methods) or interlace > 1:
        raise damaged(path, f"PNG colour {colour} with {depth} bits, or an unknown method")
    check_size(path, height, width)
    return PngHeader(height, width, depth, colour, bool(interlace))


def _unpacked_size(kind: bytes, body: bytes) -> int:
    """Decompressed bytes of a text or profile, up to just beyond the limit."""
    _, _, rest = body.partition(b"\0")
    if kind == b"iTXt":
        if rest[:1] != b"\1":
            return len(rest)
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    else:
        rest = rest[1:]
    try:
        return len(zlib.decompressobj().decompress(rest, MAX_TEXT + 1))
    except zlib.error:
        return len(rest)  # the text is not used
