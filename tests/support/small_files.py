"""Small valid files of every format, as bytes, for tests that read, cut and damage them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian

from jpeg_twelve import encode

Syntax = gdcm.TransferSyntax
# transfer syntax -> (its number in GDCM, maximum number of bits)
COMPRESSED = {
    "jpeg-baseline": (Syntax.JPEGBaselineProcess1, 8),
    "jpeg-lossless-57": (Syntax.JPEGLosslessProcess14, 16),
    "jpeg-lossless-70": (Syntax.JPEGLosslessProcess14_1, 16),
    "jpeg-ls": (Syntax.JPEGLSLossless, 16),
    "jpeg-2000": (Syntax.JPEG2000Lossless, 16),
    "rle": (Syntax.RLELossless, 16),
}
NATIVE = {
    "implicit": Syntax.ImplicitVRLittleEndian,
    "explicit": Syntax.ExplicitVRLittleEndian,
    "big-endian": Syntax.ExplicitVRBigEndian,
}
REGIONS = ("right lung", "left lung", "cardiac silhouette")


def picture(height: int = 48, width: int = 64, bits: int = 12, seed: int = 0) -> np.ndarray:
    """[H, W] integers that use all values of this number of bits: waves, a bright corner, noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    shade = 0.45 + 0.3 * np.sin(columns / 9 + seed) + 0.15 * np.cos(rows / 5)
    values = (2**bits - 1) * (shade + rng.normal(0, 0.01, shade.shape))
    values[:8, :8], values[-1, -1] = 2**bits - 1, 0
    return np.clip(np.rint(values), 0, 2**bits - 1).astype(np.int64)


def jpeg(image: np.ndarray | None = None, **options: Any) -> bytes:
    """A JPEG of 8 bits."""
    return _saved(picture(bits=8) if image is None else image, "JPEG", options)


def png(image: np.ndarray | None = None, bits: int = 8) -> bytes:
    """A PNG of 8 or 16 bits."""
    image = picture(bits=bits) if image is None else image
    return _saved(image, "PNG", {}, np.uint8 if bits == 8 else np.uint16)


def chunk(kind: bytes, body: bytes) -> bytes:
    """One PNG chunk with its length and its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of exactly these chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in chunks)


def ihdr(height: int, width: int, depth: int = 8, colour: int = 0) -> tuple[bytes, bytes]:
    """The header chunk of a PNG."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


def dicom(
    image: np.ndarray | None = None,
    *,
    bits: int = 12,
    is_signed: bool = False,
    syntax: str = ExplicitVRLittleEndian,
    frame: bytes | None = None,
    **tags: Any,
) -> bytes:
    """A DICOM with one grey frame, native or with a given compressed frame.

    A tag given as None is left out.
    """
    image = picture(bits=bits) if image is None else image
    allocated = 8 if bits <= 8 else 16
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "2.25.1"
    meta.TransferSyntaxUID = syntax
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, "2.25.1"
    # otherwise GDCM sets them from the current time
    data.StudyDate, data.StudyTime = "21800506", "213014.531"
    data.StudyInstanceUID, data.SeriesInstanceUID = "2.25.2", "2.25.3"
    data.Rows, data.Columns = image.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = allocated, bits, bits - 1
    data.PixelRepresentation = int(is_signed)
    if frame is None:
        kind = f"<{'i' if is_signed else 'u'}{allocated // 8}"
        data.PixelData = image.astype(kind).tobytes()
    else:
        data.PixelData = encapsulate([frame])
    if "PixelData" in data:
        data["PixelData"].VR = "OB" if frame is not None or allocated == 8 else "OW"
    for name, value in tags.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def rewritten(data: bytes, syntax: int, error: int = 0) -> bytes:
    """A DICOM in another transfer syntax, written by GDCM; `error` is the tolerance of JPEG-LS."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "a.dcm", Path(folder) / "b.dcm"
        source.write_bytes(data)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(source))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        change.SetInput(reader.GetImage())
        codec = gdcm.JPEGLSCodec()
        if error:
            codec.SetLossless(False)
            codec.SetLossyError(error)
            change.SetUserCodec(codec)
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(target))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        written = target.read_bytes()
    return _with_fixed_numbers(written, data)


def _with_fixed_numbers(written: bytes, source: bytes) -> bytes:
    """Replace the UID that GDCM derives from the time, so that the bytes are reproducible."""
    source_uid, written_uid = (
        dcmread(io.BytesIO(data)).SOPInstanceUID for data in (source, written)
    )
    # of equal length, so that no offset changes
    fixed = (str(source_uid) + "." + "1" * len(written_uid))[: len(written_uid)]
    return written.replace(str(written_uid).encode(), fixed.encode())


@cache
def in_syntax(name: str, bits: int = 12, **options: Any) -> bytes:
    """A valid DICOM in the named transfer syntax."""
    if name == "jpeg-extended":
        frame = encode(picture(bits=12), 12)
        return dicom(syntax="1.2.840.10008.1.2.4.51", frame=frame, **options)
    if name in NATIVE:
        return rewritten(dicom(bits=bits, **options), NATIVE[name])
    number, most = COMPRESSED[name]
    return rewritten(dicom(bits=min(bits, most), **options), number)


def table(rows: Iterable[Sequence[str]] | None = None, *, is_packed: bool = False) -> bytes:
    """A CSV table with a header, gzipped or not."""
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows(simple_rows() if rows is None else rows)
    text = stream.getvalue().encode()
    return gzip.compress(text, mtime=0) if is_packed else text


def simple_rows() -> list[list[str]]:
    """A header and six rows."""
    rows = [[f"image-{index}", f"1900000{index}", f"5000000{index}"] for index in range(6)]
    return [["dicom_id", "subject_id", "study_id"], *rows]


def graph(dicom_id: str = "image") -> dict[str, Any]:
    """A scene graph of three regions in an image of 448 x 448 pixels."""
    objects, attributes = [], []
    for index, name in enumerate(REGIONS):
        corners = {"x1": 20 + index, "y1": 30, "x2": 120 + index, "y2": 150}
        original = {f"original_{key}": 2 * value for key, value in corners.items()}
        objects.append({"bbox_name": name, **corners, **original})
        attributes.append({"bbox_name": name, "phrases": [f"The {name} is clear."]})
    return {"image_id": dicom_id, "objects": objects, "attributes": attributes}


def graph_bytes() -> bytes:
    """The simple scene graph as JSON."""
    return json.dumps(graph()).encode()


def archive(graphs: dict[str, bytes] | None = None) -> bytes:
    """A scene_graph.zip; without graphs, of the one simple graph."""
    members = {"image": graph_bytes()} if graphs is None else graphs
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for dicom_id, body in members.items():
            name = zipfile.ZipInfo(f"scene_graph/{dicom_id}_SceneGraph.json", (1980, 1, 1, 0, 0, 0))
            name.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(name, body)
    return stream.getvalue()


def report() -> bytes:
    """A report with findings and an impression."""
    return (
        b"                                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n \n"
        b" FINDINGS: \n \n The heart is normal in size. There is no pleural effusion.\n \n"
        b" IMPRESSION: \n \n No edema.\n"
    )


def answer() -> bytes:
    """A difference answer."""
    return (
        b"the level of edema has changed from mild to moderate. the main image has additional "
        b"findings of pneumonia, and atelectasis than the reference image. "
    )


def _saved(image: np.ndarray, kind: str, options: dict[str, Any], dtype: Any = np.uint8) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image.astype(dtype)).save(stream, kind, **options)
    return stream.getvalue()
