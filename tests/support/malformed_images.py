"""Malformed JPEG and PNG files, and files of unknown formats."""

from __future__ import annotations

import struct
import zlib

import numpy as np

import small_files as small
from jpeg_twelve import encode
from malformed import Kind, bomb, pick

Random = np.random.Generator


def _jpeg(rng: Random) -> bytes:
    return small.jpeg(small.picture(bits=8, seed=int(rng.integers(1000))))


def _frame_at(data: bytes) -> int:
    """The start of the frame header: precision, height, width, components."""
    return data.index(b"\xff\xc0") + 4


def _resized(data: bytes, height: int, width: int) -> bytes:
    position = _frame_at(data)
    return data[: position + 1] + struct.pack(">HH", height, width) + data[position + 5 :]


def _at(data: bytes, position: int, piece: bytes) -> bytes:
    return data[:position] + piece + data[position + len(piece) :]


def _without_frame(rng: Random) -> bytes:
    data = _jpeg(rng)
    start = data.index(b"\xff\xc0")
    return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]


def _two_frames(rng: Random) -> bytes:
    data = _jpeg(rng)
    start = data.index(b"\xff\xc0")
    end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    return data[:end] + data[start:end] + data[end:]


def _many_scans(rng: Random) -> bytes:
    data = small.jpeg(progressive=True)
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00"
    return data[:-2] + scan * int(rng.integers(100, 5000)) + data[-2:]


def _flipped(data: bytes, start: int, rng: Random) -> bytes:
    damaged = bytearray(data)
    position = int(rng.integers(start, len(data) - 12))
    damaged[position] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def _cut(data: bytes, rng: Random, least: int = 3) -> bytes:
    return data[: int(rng.integers(least, len(data) - 16))]


def _part(data: bytes, rng: Random) -> bytes:
    """A JPEG cut somewhere in its pixels."""
    return data[: int(rng.integers(data.index(b"\xff\xda") + 14, len(data) - 40))]


def _zero_filled(rng: Random) -> bytes:
    data = _jpeg(rng)
    kept = _part(data, rng)
    return kept + b"\0" * (len(data) - len(kept))


def _bad_huffman(rng: Random) -> bytes:
    data = _jpeg(rng)
    return _at(data, data.index(b"\xff\xc4") + 5, bytes([255]) * 16)


def _jpeg_kind(name: str, make, codes: tuple[str, ...], expected="refused") -> Kind:
    return Kind(f"jpeg {name}", "image", make, expected, codes)


_ANY_END = ("truncated", "damaged")
JPEG = [
    _jpeg_kind("cut", lambda rng: _cut(_jpeg(rng), rng), _ANY_END),
    _jpeg_kind(
        "start only", lambda rng: b"\xff\xd8\xff" + rng.bytes(int(rng.integers(20))), _ANY_END
    ),
    _jpeg_kind("without its end", lambda rng: _jpeg(rng)[:-2], ("truncated",)),
    _jpeg_kind("filled up with zeros", _zero_filled, _ANY_END),
    _jpeg_kind("without a frame header", _without_frame, ("damaged",)),
    _jpeg_kind("with two frame headers", _two_frames, ("damaged",)),
    _jpeg_kind(
        "without pixels",
        lambda rng: (data := _jpeg(rng))[: data.index(b"\xff\xda")] + b"\xff\xd9",
        ("truncated",),
    ),
    _jpeg_kind("of no height", lambda rng: _resized(_jpeg(rng), 0, 64), ("damaged",)),
    _jpeg_kind(
        "claiming 4 gigapixels",
        lambda rng: _resized(_jpeg(rng), 65500, 65500),
        ("too-many-pixels",),
    ),
    _jpeg_kind(
        "claiming 80 megapixels", lambda rng: _resized(_jpeg(rng), 9000, 9000), ("truncated",)
    ),
    _jpeg_kind("in thousands of scans", _many_scans, ("unsupported",)),
    _jpeg_kind(
        "of 12 bits",
        lambda rng: encode(small.picture(seed=int(rng.integers(99))), 12),
        ("unsupported",),
    ),
    _jpeg_kind(
        "lossless",
        lambda rng: _jpeg(rng).replace(b"\xff\xc0", pick(rng, [b"\xff\xc3", b"\xff\xc9"])),
        ("unsupported",),
    ),
    _jpeg_kind(
        "of two components",
        lambda rng: _at(data := _jpeg(rng), _frame_at(data) + 5, b"\2"),
        ("unsupported",),
    ),
    _jpeg_kind(
        "with an endless segment",
        lambda rng: _at(data := _jpeg(rng), data.index(b"\xff\xdb") + 2, b"\xff\xff"),
        ("truncated",),
    ),
    _jpeg_kind("with impossible codes", _bad_huffman, ("damaged",)),
    _jpeg_kind(
        "with garbage behind it",
        lambda rng: _jpeg(rng) + rng.bytes(int(rng.integers(1, 3000))),
        (),
        "value",
    ),
    # libjpeg continues; no reader can distinguish it from a real image
    _jpeg_kind(
        "with flipped bits",
        lambda rng: _flipped(data := _jpeg(rng), data.index(b"\xff\xda") + 12, rng),
        (),
        "any",
    ),
    _jpeg_kind(
        "cut and closed again",
        lambda rng: _part(_jpeg(rng), rng) + b"\xff\xd9",
        (),
        "any",
    ),
    _jpeg_kind("of twice the height", lambda rng: _resized(_jpeg(rng), 96, 64), (), "any"),
]


def _png(rng: Random) -> bytes:
    bits = pick(rng, [8, 16])
    return small.png(small.picture(bits=bits, seed=int(rng.integers(1000))), bits)


def _built(*chunks: tuple[bytes, bytes]) -> bytes:
    return small.png_chunks(*chunks, (b"IEND", b""))


def _pixels(height: int = 48, width: int = 64, first: int = 0) -> tuple[bytes, bytes]:
    return b"IDAT", zlib.compress((bytes([first]) + bytes(range(width))) * height)


def _with(*extra: tuple[bytes, bytes]) -> bytes:
    return _built(small.ihdr(48, 64), *extra, _pixels())


def _png_kind(name: str, make, codes: tuple[str, ...], expected="refused") -> Kind:
    return Kind(f"png {name}", "image", make, expected, codes)


def _many_chunks(rng: Random) -> bytes:
    return _with(*[(b"tEXt", b"a\0b")] * int(rng.integers(60_000, 70_000)))


PNG = [
    _png_kind("cut", lambda rng: _cut(_png(rng), rng, 9), ("truncated",)),
    _png_kind("without its end", lambda rng: _png(rng)[:-12], ("truncated",)),
    _png_kind("with flipped bits", lambda rng: _flipped(_png(rng), 33, rng), _ANY_END),
    _png_kind("of no width", lambda rng: _built(small.ihdr(48, 0), _pixels()), ("damaged",)),
    _png_kind(
        "claiming gigapixels",
        lambda rng: _built(small.ihdr(int(rng.integers(20_000, 2**31)), 40_000), _pixels()),
        ("too-many-pixels",),
    ),
    _png_kind(
        "claiming 50 megapixels",
        lambda rng: _built(small.ihdr(7000, int(rng.integers(5000, 7100))), _pixels()),
        ("truncated",),
    ),
    _png_kind(
        "of colours in too much memory",
        lambda rng: _built(small.ihdr(7000, 7000, 8, 2), (b"IDAT", bomb(rng, 142))),
        ("too-many-pixels",),
    ),
    _png_kind(
        "of an impossible depth",
        lambda rng: _built(small.ihdr(48, 64, pick(rng, [0, 3, 5, 32]), 0), _pixels()),
        ("damaged",),
    ),
    _png_kind(
        "with a short header",
        lambda rng: _built((b"IHDR", rng.bytes(int(rng.integers(13)))), _pixels()),
        ("damaged",),
    ),
    _png_kind("without a header", lambda rng: _built(_pixels()), ("damaged",)),
    _png_kind(
        "with two headers",
        lambda rng: _with(small.ihdr(48, int(rng.integers(1, 64)))),
        ("damaged",),
    ),
    _png_kind("without pixels", lambda rng: _built(small.ihdr(48, 64)), ("truncated",)),
    _png_kind(
        "with too few rows",
        lambda rng: _built(small.ihdr(48, 64), _pixels(int(rng.integers(1, 47)))),
        _ANY_END,
    ),
    _png_kind(
        "of unpackable pixels",
        lambda rng: _built(small.ihdr(48, 64), (b"IDAT", b"\x78\x9c" + rng.bytes(900))),
        _ANY_END,
    ),
    _png_kind(
        "with an unknown filter",
        lambda rng: _built(small.ihdr(48, 64), _pixels(first=int(rng.integers(5, 256)))),
        _ANY_END,
    ),
    _png_kind(
        "without its palette",
        lambda rng: _built(small.ihdr(48, 64, 8, 3), _pixels()),
        ("damaged",),
    ),
    _png_kind(
        "that moves",
        lambda rng: _with((b"acTL", struct.pack(">II", int(rng.integers(1, 99)), 0))),
        ("multi-frame",),
    ),
    _png_kind(
        "with a text bomb", lambda rng: _with((b"zTXt", b"a\0\0" + bomb(rng))), ("too-many-bytes",)
    ),
    _png_kind(
        "with an international text bomb",
        lambda rng: _with((b"iTXt", b"a\0\1\0\0\0" + bomb(rng))),
        ("too-many-bytes",),
    ),
    _png_kind(
        "with a profile bomb",
        lambda rng: _with((b"iCCP", b"a\0\0" + bomb(rng))),
        ("too-many-bytes",),
    ),
    _png_kind(
        "with many small bombs",
        lambda rng: _with(*[(b"zTXt", b"a\0\0" + bomb(rng, 1))] * 40),
        ("too-many-bytes",),
    ),
    _png_kind("of many chunks", _many_chunks, ("too-many-bytes",)),
    _png_kind(
        "with an endless chunk",
        lambda rng: _at(_png(rng), 33, struct.pack(">I", int(rng.integers(2**20, 2**32)))),
        ("truncated",),
    ),
    # the rows after the last one are never decompressed
    _png_kind(
        "with gigabytes behind its pixels",
        lambda rng: _built(small.ihdr(48, 64), (b"IDAT", bomb(rng, 200))),
        (),
        "any",
    ),
    _png_kind(
        "with garbage behind it",
        lambda rng: _png(rng) + rng.bytes(int(rng.integers(1, 3000))),
        (),
        "value",
    ),
]

OTHER = [
    Kind("empty file", "image", lambda rng: b"", codes=("unknown-format",)),
    Kind(
        "other format",
        "image",
        lambda rng: pick(rng, [b"GIF89a", b"BM", b"II*\0", b"%PDF-1.7", b"<svg>"]) + rng.bytes(500),
        codes=("unknown-format",),
    ),
    Kind("noise", "image", lambda rng: b"\1" + rng.bytes(2000), codes=("unknown-format",)),
    Kind(
        "zeros", "image", lambda rng: bytes(int(rng.integers(1, 9999))), codes=("unknown-format",)
    ),
]
