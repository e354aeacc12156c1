"""`lapse index`: hashes instead of numbers, no name, refused files counted by reason."""

import csv
from datetime import datetime

import numpy as np
import pytest

from lapse.data.datasets.dicom_index import COLUMNS, index_films, write_index
from lapse.data.datasets.plain_rows import OPTIONAL, REQUIRED, TIMES, UNUSED, read_films
from lapse.images.pydicom_quiet import quiet_pydicom

pydicom = pytest.importorskip("pydicom")
KEY = b"a secret of more than sixteen bytes"


def write_film(path, **tags):
    """A small film of an invented patient; a tag of None is left out."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    values = {
        "PatientID": "4711-0815",
        "PatientName": "Mustermann^Erika",
        "PatientBirthDate": "19500101",
        "AccessionNumber": "ACC99",
        "StudyInstanceUID": "2.25.1",
        "StudyDate": "20240301",
        "StudyTime": "073000.5",
        "Modality": "DX",
        "ViewPosition": "PA",
        "BodyPartExamined": "CHEST",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 16,
        "Columns": 16,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "PixelData": np.arange(256, dtype="<u2").tobytes(),
    }
    with quiet_pydicom():  # it warns about the invalid values
        for name, value in {**values, **tags}.items():
            if value is not None:
                setattr(film, name, value)
        film.save_as(path, enforce_file_format=True)


def test_the_table_has_hashes_dates_and_order_and_nothing_else(tmp_path):
    write_film(tmp_path / "films" / "late.dcm", StudyInstanceUID="2.25.3", StudyTime="200000")
    write_film(tmp_path / "films" / "early.dcm", StudyInstanceUID="2.25.2")
    write_film(tmp_path / "films" / "a" / "lateral", StudyInstanceUID="2.25.2", ViewPosition="LL")
    write_film(tmp_path / "films" / "x.DCM", PatientID="4712", StudyInstanceUID="2.25.4")
    index = index_films(tmp_path / "films", key=KEY)
    write_index(index, tmp_path / "films.csv")
    text = (tmp_path / "films.csv").read_text("utf-8")
    for secret in ("4711", "0815", "4712", "Mustermann", "Erika", "2.25", "1950", "ACC99"):
        assert secret not in text
    rows = {row["image"]: row for row in csv.DictReader(text.splitlines())}
    assert [rows[name]["order"] for name in ("early.dcm", "a/lateral", "late.dcm")] == [
        "1",
        "1",
        "2",
    ]
    assert {row["date"] for row in rows.values()} == {"2024-03-01"}
    assert (rows["a/lateral"]["view"], rows["x.DCM"]["view"]) == ("LL", "PA")
    assert rows["early.dcm"]["study"] == rows["a/lateral"]["study"]
    assert len({row["patient"] for row in rows.values()}) == 2
    assert index.refused.total == 0
    assert [row.order for row in read_films(tmp_path / "films.csv")]
    assert {*COLUMNS} <= {*REQUIRED, *TIMES, *OPTIONAL, *UNUSED}
    with pytest.raises(ValueError, match="exists"):
        write_index(index, tmp_path / "films.csv")


def test_the_key_decides_the_hashes(tmp_path):
    write_film(tmp_path / "1.dcm")
    first, again, other = (
        index_films(tmp_path, key=key).rows[0] for key in (KEY, KEY, b"another key of 16 bytes")
    )
    assert first == again
    assert first.taken_at == datetime(2024, 3, 1, 7, 30)
    assert first.patient != other.patient and first.study != other.study
    with pytest.raises(ValueError, match="a key of 3 bytes"):
        index_films(tmp_path, key=b"abc")


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "CT"}, "modality CT is not CR or DX"),
        ({"Modality": "Erika M."}, "modality of unknown form is not CR or DX"),
        ({"BodyPartExamined": "HAND"}, "body part HAND is not the chest"),
        ({"NumberOfFrames": 7}, "several frames"),
        ({"PatientID": ""}, "no PatientID"),
        ({"StudyInstanceUID": None}, "no StudyInstanceUID"),
        ({"StudyDate": None}, "no readable StudyDate"),
        ({"StudyDate": "2024"}, "no readable StudyDate"),
        ({"Rows": None}, "no image in the file"),
        ({"PatientName": "good^"}, "path contains the name"),
        ({"PatientID": "good"}, "path contains the name"),
    ],
)
def test_a_file_that_is_refused_is_counted_with_its_reason(tags, reason, tmp_path):
    write_film(tmp_path / "1.dcm")
    write_film(tmp_path / "good.dcm", **tags)
    (tmp_path / "notes.txt").write_text("no film")
    index = index_films(tmp_path, key=KEY)
    assert [row.image for row in index.rows] == ["1.dcm"]
    assert index.refused.counts["not a DICOM file"] == 1
    (other,) = set(index.refused.counts) - {"not a DICOM file"}
    assert reason in other
    assert "good" not in " ".join(index.refused.lines())


def test_an_unknown_view_is_noted(tmp_path):
    write_film(tmp_path / "1.dcm", ViewPosition="")
    assert "view unknown (fill in PA, AP or LATERAL)" in index_films(tmp_path, key=KEY).noted.counts


def test_a_folder_without_radiographs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="it is empty"):
        index_films(tmp_path, key=KEY)
    (tmp_path / "damaged.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    with pytest.raises(ValueError, match="no file below"):
        index_films(tmp_path, key=KEY)
    with pytest.raises(ValueError, match="no folder"):
        index_films(tmp_path / "nowhere", key=KEY)
