"""A plain encoder of grey JPEGs with 8 or 12 bits (ITU-T T.81), for tests of the readers.

Pillow cannot write 12-bit JPEGs, and GDCM declares them as 16-bit. Fixed code lengths keep the
encoder short: 5 bits for a DC category, 9 for an AC symbol.
"""

from __future__ import annotations

import struct

import numpy as np

SIDE = 8
_K = np.arange(SIDE)
COSINE = np.cos((2 * _K[None] + 1) * _K[:, None] * np.pi / 16) * np.where(_K, 1, 0.5**0.5)[:, None]
ZIGZAG = sorted(
    ((row, column) for row in range(SIDE) for column in range(SIDE)),
    key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]),
)


def encode(image: np.ndarray, bits: int, step: int = 2) -> bytes:
    """One JPEG of an image [H, W], every coefficient divided by `step`."""
    height, width = image.shape
    padded = np.pad(image, ((0, -height % SIDE), (0, -width % SIDE)), mode="edge")
    written: list[str] = []
    before = 0
    for top in range(0, height, SIDE):
        for left in range(0, width, SIDE):
            block = padded[top : top + SIDE, left : left + SIDE] - 2.0 ** (bits - 1)
            raw = np.rint(COSINE @ block @ COSINE.T / 4 / step).astype(int)
            first, *others = (int(raw[at]) for at in ZIGZAG)
            written.append(_coded(len(_size(first - before)), 5) + _size(first - before))
            before, zeros = first, 0
            for value in others:
                if value == 0:
                    zeros += 1
                    continue
                written.append(_coded(0xF0, 9) * (zeros // 16))
                written.append(_coded(zeros % 16 << 4 | len(_size(value)), 9) + _size(value))
                zeros = 0
            if zeros:
                written.append(_coded(0, 9))
    stream = "".join(written)
    stream += "1" * (-len(stream) % 8)
    pixels = int(stream, 2).to_bytes(len(stream) // 8, "big").replace(b"\xff", b"\xff\0")
    dc = bytes([0, 0, 0, 0, 16, *[0] * 11, *range(16)])
    ac = bytes([*[0] * 8, 255, 1, *[0] * 6, *range(256)])
    frame = struct.pack(">BHHBBBB", bits, height, width, 1, 1, 0x11, 0)
    return b"".join(
        [
            b"\xff\xd8",
            _segment(0xDB, bytes([0] + [step] * 64)),
            _segment(0xC0 if bits == 8 else 0xC1, frame),
            _segment(0xC4, b"\x00" + dc),
            _segment(0xC4, b"\x10" + ac),
            _segment(0xDA, bytes([1, 1, 0, 0, 63, 0])),
            pixels,
            b"\xff\xd9",
        ]
    )


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _coded(symbol: int, length: int) -> str:
    return f"{symbol:0{length}b}"


def _size(value: int) -> str:
    """The bits of a value; their number is its category."""
    if value == 0:
        return ""
    count = abs(value).bit_length()
    return f"{value if value > 0 else value + (1 << count) - 1:0{count}b}"
