"""A header is read within limits before any of it is believed."""

import io
import zlib
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

import small_dicom
from lapse.images import ImageError
from lapse.images.dicom import MAX_READS, read_dicom_header

FILM = Path("film.dcm")


def test_a_header_is_read_without_its_pixels(tmp_path):
    data = small_dicom.write(tmp_path / "a.dcm", small_dicom.FIRST).read_bytes()
    header = read_dicom_header(FILM, data)
    assert header.PatientID == small_dicom.FIRST["PatientID"] and "PixelData" not in header


def _meta(syntax):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    stream = io.BytesIO()
    empty = Dataset()
    empty.file_meta = meta
    empty.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_a_deflated_header_is_refused_before_it_is_inflated():
    bomb = zlib.compress(bytes(1 << 26), wbits=-15)
    with pytest.raises(ImageError, match="deflated, which can hide any size"):
        read_dicom_header(FILM, _meta(DeflatedExplicitVRLittleEndian) + bomb)


def test_millions_of_elements_are_refused():
    elements = b"".join(
        (0x0009).to_bytes(2, "little") + number.to_bytes(2, "little") + b"UN\0\0\0\0\0\0"
        for number in range(0x1000, 0xFFFF)
    )
    with pytest.raises(ImageError, match=f"more DICOM elements than {MAX_READS} reads"):
        read_dicom_header(FILM, _meta(ExplicitVRLittleEndian) + elements * 2)
