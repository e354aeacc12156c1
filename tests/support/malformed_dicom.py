"""Malformed DICOM files: headers, sizes, tables, and compressed frames."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

import small_files as small
from malformed import Kind, pick

Random = np.random.Generator
ROWS, COLUMNS = b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x11\x00US\x02\x00"
_META_END = 132
EXPLICIT, DEFLATED = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"
_DECODED = ("truncated", "damaged")


def _numbered(data: bytes, tag: bytes, value: int) -> bytes:
    position = data.index(tag) + len(tag)
    return data[:position] + struct.pack("<H", value) + data[position + 2 :]


def _data_start(data: bytes) -> int:
    """The start of the data set, after the file meta information."""
    (length,) = struct.unpack_from("<I", data, _META_END + 8)
    return _META_END + 12 + length


def _inserted(piece: bytes) -> bytes:
    data = small.dicom()
    start = _data_start(data)
    return data[:start] + piece + data[start:]


def _meta(syntax: bytes) -> bytes:
    """The start of a file in any transfer syntax, known or unknown."""
    syntax += b"\0" * (len(syntax) % 2)
    element = b"\x02\x00\x10\x00UI" + struct.pack("<H", len(syntax)) + syntax
    head = b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(element))
    return b"\0" * 128 + b"DICM" + head + element


def _deflated_bomb(rng: Random) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"".join(packer.compress(bytes(1 << 20)) for _ in range(int(rng.integers(50, 100))))
    return _meta(DEFLATED) + body + packer.flush()


def _compressed(rng: Random) -> str:
    return pick(rng, list(small.COMPRESSED))


def _cut_frame(rng: Random) -> bytes:
    """A frame without its second half, closed as if it were complete."""
    name = pick(rng, ["jpeg-lossless-70", "jpeg-ls", "jpeg-2000", "rle"])
    data = small.in_syntax(name)
    frame = data[_frame_at(data) : -8]
    return _reframed(data, frame[: int(rng.integers(100, len(frame) // 2))])


def _frame_at(data: bytes) -> int:
    """The start of the compressed frame, after the offset table and its item header."""
    position = data.index(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff") + 12
    (table,) = struct.unpack_from("<I", data, position + 4)
    return position + 8 + table + 8


def _reframed(data: bytes, *frames: bytes) -> bytes:
    start = data.index(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff") + 12
    if not any(frames):
        return data[:start] + b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    return data[:start] + encapsulate(padded, has_bot=len(frames) > 1) + b"\xfe\xff\xdd\xe0\0\0\0\0"


def _other_frame(rng: Random) -> bytes:
    """The frame of another syntax."""
    syntax, other = rng.permutation(["jpeg-lossless-70", "jpeg-ls", "jpeg-2000", "rle"])[:2]
    source = small.in_syntax(other)
    return _reframed(small.in_syntax(syntax), source[_frame_at(source) : -8])


def _rle_bomb(rng: Random) -> bytes:
    data = small.in_syntax("rle")
    frame = struct.pack("<16I", 2, 64, 66, *[0] * 13) + b"\x81\0\x81\0"
    size = int(rng.integers(2000, 4900))
    return _numbered(_numbered(_reframed(data, frame), ROWS, size), COLUMNS, size)


def _bad_offsets(rng: Random) -> bytes:
    data = small.in_syntax("rle")
    start = _frame_at(data)
    numbers = [2, *(int(n) for n in rng.integers(2**16, 2**32, 2)), *[0] * 13]
    return data[:start] + struct.pack("<16I", *numbers) + data[start + 64 :]


def _segment_count(rng: Random) -> bytes:
    data = small.in_syntax("rle")
    start = _frame_at(data)
    return data[:start] + struct.pack("<I", pick(rng, [0, 1, 3, 15, 2**31])) + data[start + 4 :]


def _tiles(rng: Random) -> bytes:
    data = small.in_syntax("jpeg-2000")
    position = data.index(b"\xff\x4f\xff\x51") + 2 + 22
    return data[:position] + struct.pack(">II", 1, 1) + data[position + 8 :]


def _lut(count: int, entries: int, depth: int = 12) -> list[Dataset]:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [count, 0, depth])
    item.add_new("LUTData", "OW", bytes(2 * entries))
    return [item]


def _deep(rng: Random) -> bytes:
    nested = b"\x09\x00\x10\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return _inserted(nested * int(rng.integers(3000, 20_000)))


def _tiny_elements(rng: Random) -> bytes:
    return _inserted(b"\x09\x00\x10\x10SH\0\0" * int(rng.integers(150_000, 400_000)))


def _sized(rng: Random) -> bytes:
    """Tags and stream with different sizes."""
    name = pick(rng, ["jpeg-baseline", "jpeg-lossless-57", "jpeg-ls", "jpeg-2000"])
    return _numbered(small.in_syntax(name), pick(rng, [ROWS, COLUMNS]), int(rng.integers(1, 47)))


def _huge(rng: Random) -> bytes:
    size = int(rng.integers(11_000, 65_535))
    name = pick(rng, [*small.NATIVE, *small.COMPRESSED])
    data = small.in_syntax(name)
    if name == "big-endian":
        return small.dicom(Rows=size, Columns=size)
    if name == "implicit":
        return data.replace(b"\x28\0\x10\0\2\0\0\0\x30\0", b"\x28\0\x10\0\2\0\0\0\xff\xff").replace(
            b"\x28\0\x11\0\2\0\0\0\x40\0", b"\x28\0\x11\0\2\0\0\0\xff\xff"
        )
    return _numbered(_numbered(data, ROWS, size), COLUMNS, size)


def _small(**tags: object):
    """A native file with these tags; one value of a list is picked."""

    def make(rng: Random) -> bytes:
        chosen = {
            name: pick(rng, value) if isinstance(value, tuple) else value
            for name, value in tags.items()
        }
        return small.dicom(**chosen)

    return make


def _kind(name: str, make, *codes: str, expected="refused") -> Kind:
    return Kind(f"dicom {name}", "image", make, expected, codes)


def _hint(name: str, **tags: object) -> Kind:
    """A broken display element, or padding: the film is read without it."""
    return Kind(f"dicom {name}", "image", _small(**tags), "value", ())


def _pixels() -> bytes:
    return small.picture().astype("<u2").tobytes()


DICOM = [
    _kind("preamble only", lambda rng: rng.bytes(128) + b"DICM", "damaged"),
    _kind(
        "cut in its header",
        lambda rng: (data := small.dicom())[: int(rng.integers(140, data.index(COLUMNS)))],
        *_DECODED,
    ),
    _kind(
        "cut in its pixels",
        lambda rng: (data := small.dicom())[: len(data) - int(rng.integers(2, 6000))],
        *_DECODED,
    ),
    _kind("cut frame", _cut_frame, *_DECODED),
    _kind(
        "cut compressed file",
        lambda rng: (data := small.in_syntax(_compressed(rng)))[: len(data) - 40],
        *_DECODED,
    ),
    _kind("without a transfer syntax", lambda rng: b"\0" * 128 + b"DICM" + rng.bytes(9), "damaged"),
    _kind(
        "of an unknown transfer syntax",
        lambda rng: _meta(b"1.2.3.%d" % rng.integers(999)) + rng.bytes(900),
        "unsupported",
    ),
    _kind("deflated bomb", _deflated_bomb, "unsupported"),
    _kind("claiming gigapixels", _huge, "too-many-pixels"),
    _kind("RLE bomb of 68 bytes", _rle_bomb, "truncated"),
    _kind("RLE with wild offsets", _bad_offsets, "damaged"),
    _kind("RLE of another number of segments", _segment_count, "damaged"),
    _kind("with two different sizes", _sized, "damaged"),
    _kind("JPEG 2000 of a thousand tiles", _tiles, "unsupported"),
    _kind("frame of another syntax", _other_frame, *_DECODED),
    _kind("of noise as its frame", lambda rng: _reframed(
        small.in_syntax(_compressed(rng)), rng.bytes(3000)), *_DECODED),
    _kind(
        "without a frame",
        lambda rng: _reframed(small.in_syntax(_compressed(rng)), b""),
        *_DECODED,
    ),
    _kind(
        "native pixels in a compressed syntax",
        lambda rng: small.dicom().replace(
            b"\x12\0" + EXPLICIT[:18], b"\x12\0" + EXPLICIT[:18]
        ).replace(EXPLICIT, b"1.2.840.10008.1.2.5\0"),
        "damaged",
    ),
    _kind(
        "with three frames in its stream",
        lambda rng: _reframed(
            data := small.in_syntax("jpeg-2000"), *[data[_frame_at(data) : -8]] * 3
        ),
        "multi-frame",
    ),
    _kind("with several frames", _small(NumberOfFrames=(2, 30)), "multi-frame"),
    _kind("in colour", _small(PhotometricInterpretation=("RGB", "YBR_FULL")), "not-grey"),
    _hint("with a palette that is missing", PhotometricInterpretation="PALETTE COLOR"),
    _kind("of three samples", _small(SamplesPerPixel=(3, 0)), "not-grey"),
    _kind("blank", lambda rng: small.dicom(np.full((48, 64), int(rng.integers(4096)))), "blank"),
    _kind("without rows", _small(Rows=None), "damaged"),
    _kind("of no columns", _small(Columns=0), "damaged"),
    _kind("without pixels", _small(PixelData=None), *_DECODED),
    _kind("of 32 bits", _small(BitsAllocated=(1, 32, 64)), "unsupported"),
    _kind("with more bits stored than allocated", _small(BitsStored=(17, 0, 99)), "damaged"),
    _kind("with its high bit too low", _small(HighBit=(0, 5, 10)), "damaged"),
    _kind("of an unknown sign", _small(PixelRepresentation=(2, 77)), "damaged"),
    _kind("with twice its pixels", _small(PixelData=(bytes(12288), bytes(90000))), "multi-frame"),
    _hint("with bytes after its pixels", PixelData=(_pixels() + bytes(2), _pixels() + bytes(999))),
    _hint("with a window of no width", WindowCenter=5, WindowWidth=(0, -3)),
    _hint("with half a window", WindowCenter=(5, 9)),
    _hint(
        "with an unknown window function", WindowCenter=9, WindowWidth=9, VOILUTFunction="CUBIC"
    ),
    _hint("with an infinite rescale", RescaleSlope="1e300", RescaleIntercept="1e308",
        WindowCenter=9, WindowWidth=9),
    _hint("with no slope", RescaleSlope=0, RescaleIntercept=(0, 7)),
    _hint("with a short table", VOILUTSequence=(_lut(4096, 9), _lut(9, 4096))),
    _hint("with a table of no depth", ModalityLUTSequence=_lut(16, 16, 0)),
    _hint("with a huge table", VOILUTSequence=_lut(0, 900_000)),
    _kind("all padding", _small(PixelPaddingValue=0, PixelPaddingRangeLimit=4095), "blank"),
    _kind("of endless depth", _deep, "damaged", "too-many-bytes", "truncated"),
    _kind("of a million elements", _tiny_elements, "too-many-bytes"),
]  # fmt: skip
