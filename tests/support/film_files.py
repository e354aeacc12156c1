"""Files of one simulated film as archives, scanners and downloads leave them, with what to expect.

`FILMS` are read and show the film; `REFUSED` are not read, and the message says why. All pixels
are drawn here; no file is stored.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

import small_files as small

HEIGHT, WIDTH = 96, 80
ORIENTATION = 0x0112
# EXIF orientation -> how the stored pixels are turned, so that a viewer shows the film upright
STORED = {
    2: np.fliplr,
    3: lambda film: np.rot90(film, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda film: np.rot90(film, 1),
    7: lambda film: np.rot90(film, 2).T,
    8: lambda film: np.rot90(film, -1),
}


def film(bits: int = 12) -> np.ndarray:
    """[96, 80] integers of this number of bits: two dark lungs, a heart, no full range."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] / (HEIGHT, WIDTH)[0]
    shade = 0.35 + 0.25 * rows
    for across, width, depth in ((0.22, 0.14, -0.22), (0.62, 0.14, -0.2), (0.5, 0.1, 0.3)):
        shade = shade + depth * np.exp(-(((columns - across) / width) ** 2) - (rows - 0.5) ** 2 * 9)
    noise = np.random.default_rng(3).normal(0, 0.004, shade.shape)
    return np.rint((2**bits - 1) * np.clip(shade + noise, 0.05, 0.92)).astype(np.int64)


def grey8() -> np.ndarray:
    """The film as 8 bits, as an export without equalisation writes it."""
    return (film(12) >> 4).astype(np.uint8)


def picture(image: np.ndarray | None = None, kind: str = "PNG", **options: Any) -> bytes:
    """A JPEG or PNG of pixels of 8 or 16 bits."""
    stream = io.BytesIO()
    Image.fromarray(grey8() if image is None else image).save(stream, kind, **options)
    return stream.getvalue()


def png16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits."""
    return picture(values.astype(np.uint16))


def dicom(**tags: Any) -> bytes:
    """The film as a DICOM of 12 bits."""
    return small.dicom(film(), **tags)


def lut_item(count: int = 4096, entries: int = 4096, depth: int = 12) -> Dataset:
    """An item of a look-up table that need not be consistent."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [count, 0, depth])
    item.add_new("LUTData", "OW", np.linspace(0, 4095, entries).astype("<u2").tobytes())
    return item


def with_exif(data: bytes, orientation: int) -> bytes:
    """A JPEG or PNG again with an EXIF orientation; PNG pixels stay, JPEG has quality 95."""
    with Image.open(io.BytesIO(data)) as opened:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        stream = io.BytesIO()
        opened.save(stream, opened.format, exif=exif, quality=95)
    return stream.getvalue()


def turned(orientation: int, kind: str) -> bytes:
    """A file whose pixels are turned and whose EXIF orientation says so."""
    pixels = np.ascontiguousarray(STORED[orientation](grey8()))
    return with_exif(picture(pixels, kind, quality=95), orientation)


def with_marker(top: int, count: int) -> bytes:
    """A 12-bit film in a PNG of 16 bits with a few pixels of another brightness."""
    values = film()
    values.flat[:count] = top
    return png16(values)


def without_preamble(data: bytes, *, keep: bytes = b"", meta: bool = True) -> bytes:
    """A DICOM without its first 132 bytes, with `keep` instead, and perhaps without group 0002."""
    body = data[132:]
    if not meta:
        (length,) = struct.unpack_from("<I", body, 8)
        body = body[12 + length :]
    return keep + body


def in_colour(kind: str) -> bytes:
    """The 8-bit film as a DICOM in colour."""
    grey = grey8()
    rgb = np.stack([grey] * 3, -1)
    tags: dict[str, Any] = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}
    if kind == "jpeg":
        frame = io.BytesIO()
        Image.fromarray(rgb).save(frame, "JPEG", quality=95)
        tags["PhotometricInterpretation"] = "YBR_FULL_422"
        return small.dicom(
            grey, bits=8, syntax=JPEGBaseline8Bit, frame=frame.getvalue(), PlanarConfiguration=0,
            **tags,
        )  # fmt: skip
    pixels = {
        "rgb": rgb,
        "planes": np.moveaxis(rgb, -1, 0),
        "ybr": np.stack([grey, np.full_like(grey, 128), np.full_like(grey, 128)], -1),
    }[kind]
    if kind == "ybr":
        tags["PhotometricInterpretation"] = "YBR_FULL"
    tags |= {"PlanarConfiguration": int(kind == "planes"), "PixelData": pixels.tobytes()}
    return small.dicom(grey, bits=8, **tags)


def with_palette(*, has_tables: bool) -> bytes:
    """The 8-bit film as indices into a grey palette of 16-bit entries."""
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name in ("Red", "Green", "Blue") if has_tables else ():
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        entries = (np.arange(256) * 257).astype("<u2").tobytes()
        tags[f"{name}PaletteColorLookupTableData"] = entries
    return small.dicom(grey8(), bits=8, **tags)


@dataclass(frozen=True)
class FilmFile:
    """A file that is read.

    Attributes:
        make: its bytes.
        same: the file without the peculiarity, which gives the same pixels.
        note: part of the note that counts the peculiarity; "" for none.
        tolerance: grey levels of the pixels, for JPEG.
    """

    make: Callable[[], bytes]
    same: Callable[[], bytes] = dicom
    note: str = ""
    tolerance: int = 0


def _hint(note: str, **tags: Any) -> FilmFile:
    return FilmFile(lambda: dicom(**tags), note=note)


_NO_META = "without preamble or file meta information"
_LUT, _WIDTH = "look-up table that is empty", "width that is zero or negative"
FILMS = {
    "window of no width": _hint(_WIDTH, WindowCenter=2048, WindowWidth=0),
    "window of negative width": _hint(_WIDTH, WindowCenter=2048, WindowWidth=-4096),
    "window without a width": _hint("only one of centre and width", WindowCenter=2048),
    "window beyond all pixels": _hint("all pixels one grey", WindowCenter=0, WindowWidth=1),
    "first window of several broken": _hint(_WIDTH, WindowCenter=[5, 2048], WindowWidth=[0, 4096]),
    "window function unknown": _hint(
        "unknown VOILUTFunction", WindowCenter=2048, WindowWidth=4096, VOILUTFunction="CUBIC"
    ),
    "window that is a word": FilmFile(
        lambda: dicom(WindowCenter=1234, WindowWidth=4096).replace(b"1234", b"None"),
        note="that is not a number",
    ),
    "window with a decimal comma": FilmFile(
        lambda: dicom(WindowCenter="2048.5", WindowWidth=4096).replace(b"2048.5", b"2048,5"),
        note="that is not a number",
    ),
    "slope alone": _hint("only one of slope and intercept", RescaleSlope=1),
    "intercept alone": _hint("only one of slope and intercept", RescaleIntercept=-1024),
    "rescale to infinity": _hint("infinite", RescaleSlope="1e308", RescaleIntercept="1e308"),
    "slope of zero": _hint("all pixels one grey", RescaleSlope=0, RescaleIntercept=3),
    "table without content": _hint(_LUT, VOILUTSequence=[Dataset()]),
    "table that is short": _hint(_LUT, VOILUTSequence=[lut_item(entries=4000)]),
    "table deeper than it says": _hint(_LUT, VOILUTSequence=[lut_item(depth=8)]),
    "table that is huge": _hint("more than", VOILUTSequence=[lut_item(0, 900_000)]),
    "modality table that is short": _hint(_LUT, ModalityLUTSequence=[lut_item(entries=9)]),
    "two bytes too many": FilmFile(
        lambda: dicom(PixelData=film().astype("<u2").tobytes() + b"\0\0"),
        note="bytes after the DICOM pixels",
    ),
    "a row too many": FilmFile(
        lambda: dicom(PixelData=film().astype("<u2").tobytes() + bytes(2 * WIDTH)),
        note="bytes after the DICOM pixels",
    ),
    "no frames": FilmFile(lambda: dicom(NumberOfFrames=0)),
    "number of frames empty": FilmFile(lambda: dicom(NumberOfFrames="")),
    "no preamble": FilmFile(lambda: without_preamble(dicom()), note=_NO_META),
    "letters without preamble": FilmFile(
        lambda: without_preamble(dicom(), keep=b"DICM"), note=_NO_META
    ),
    "no meta group": FilmFile(
        lambda: without_preamble(dicom(), keep=bytes(128) + b"DICM", meta=False), note=_NO_META
    ),
    "data set alone": FilmFile(lambda: without_preamble(dicom(), meta=False), note=_NO_META),
    "implicit without preamble": FilmFile(
        lambda: without_preamble(small.rewritten(dicom(), small.NATIVE["implicit"])), note=_NO_META
    ),
    "implicit data set alone": FilmFile(
        lambda: without_preamble(small.rewritten(dicom(), small.NATIVE["implicit"]), meta=False),
        note=_NO_META,
    ),
    "colour in pixels": FilmFile(lambda: in_colour("rgb"), picture, "in colour"),
    "colour in planes": FilmFile(lambda: in_colour("planes"), picture, "in colour"),
    "colour as luminance": FilmFile(lambda: in_colour("ybr"), picture, "in colour"),
    "colour in a JPEG": FilmFile(lambda: in_colour("jpeg"), picture, "in colour", 12),
    "palette": FilmFile(lambda: with_palette(has_tables=True), picture, "in colour"),
    "palette without tables": FilmFile(
        lambda: with_palette(has_tables=False), picture, "in colour"
    ),
    **{
        f"{kind} of orientation {number}": FilmFile(
            lambda kind=kind, number=number: turned(number, kind),
            picture,
            "EXIF orientation",
            12 if kind == "JPEG" else 0,
        )
        for kind in ("PNG", "JPEG")
        for number in STORED
    },
    "PNG of an unknown orientation": FilmFile(lambda: with_exif(picture(), 77), picture),
    "16 bits in a file of 12": FilmFile(lambda: png16(film())),
    "16 bits in full": FilmFile(lambda: png16(film() * 16)),
    "16 bits of 10": FilmFile(lambda: png16(film(10)), lambda: small.dicom(film(10), bits=10)),
    "16 bits without a declared depth": FilmFile(lambda: png16(film() * 3)),
    "one hot pixel": FilmFile(lambda: with_marker(65535, 1), note="bright defects", tolerance=1),
    "a few hot pixels": FilmFile(lambda: with_marker(30000, 5), note="bright defects", tolerance=1),
    "opaque alpha": FilmFile(
        lambda: picture(np.stack([grey8(), np.full_like(grey8(), 255)], -1)), picture
    ),
    "colour PNG": FilmFile(lambda: picture(np.stack([grey8()] * 3, -1)), picture),
}


@dataclass(frozen=True)
class RefusedFile:
    """A file that is refused with a code and a sentence."""

    data: bytes
    code: str
    words: str


_NOISE = np.random.default_rng(1).integers(0, 256, (256, 256), np.uint8)
_TRANSPARENT = np.stack([grey8(), np.zeros_like(grey8())], -1)
_COLOURS = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
REFUSED = {
    "black PNG": RefusedFile(picture(np.zeros((64, 64), np.uint8)), "blank", "is blank"),
    "white JPEG": RefusedFile(picture(np.full((64, 64), 255, np.uint8), "JPEG"), "blank", "blank"),
    "blank PNG of 16 bits": RefusedFile(png16(np.full((64, 64), 900)), "blank", "blank"),
    "blank DICOM": RefusedFile(small.dicom(np.full((64, 64), 9)), "blank", "blank"),
    "one pixel": RefusedFile(picture(np.full((1, 1), 7, np.uint8)), "blank", "blank"),
    "transparent everywhere": RefusedFile(picture(_TRANSPARENT), "blank", "blank"),
    "noise PNG": RefusedFile(picture(_NOISE), "noise", "is noise and not a film"),
    "noise JPEG": RefusedFile(picture(_NOISE, "JPEG", quality=95), "noise", "is noise"),
    "noise DICOM": RefusedFile(small.dicom(_NOISE, bits=8), "noise", "is noise"),
    "empty": RefusedFile(b"", "unknown-format", "an empty file"),
    "zeros": RefusedFile(bytes(4096), "unknown-format", "a file of zeros"),
    "login page": RefusedFile(
        b"\n<!DOCTYPE html><html>Log in", "unknown-format", "a saved web page"
    ),
    "LFS pointer": RefusedFile(
        b"version https://git-lfs.github.com/spec/v1\noid", "unknown-format", "git lfs pull"
    ),
    "GIF": RefusedFile(b"GIF89a" + bytes(50), "unknown-format", "is a GIF"),
    "BMP": RefusedFile(picture(kind="BMP"), "unknown-format", "is a BMP"),
    "TIFF": RefusedFile(picture(kind="TIFF"), "unknown-format", "is a TIFF"),
    "WebP": RefusedFile(picture(kind="WEBP"), "unknown-format", "is a WebP"),
    "line before a JPEG": RefusedFile(
        b"\n" + picture(kind="JPEG"), "unknown-format", "other bytes before it"
    ),
    "text": RefusedFile(b"a note", "unknown-format", "neither JPEG, PNG nor DICOM"),
    "two frames without a tag": RefusedFile(
        dicom(PixelData=film().astype("<u2").tobytes() * 2), "multi-frame", "single frame"
    ),
    "colours": RefusedFile(
        small.dicom(
            grey8(), bits=8, SamplesPerPixel=3, PhotometricInterpretation="RGB",
            PlanarConfiguration=0, PixelData=_COLOURS.tobytes(),
        ),
        "not-grey",
        "is a colour image",
    ),
}  # fmt: skip
