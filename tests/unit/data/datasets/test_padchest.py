"""The table of PadChest: labels as printed lists, ids as texts, frontal views, true dates."""

import csv
import gzip

import pytest

from lapse.core.findings import FINDINGS
from lapse.data.datasets.padchest import COLUMNS, parse_names, read_padchest
from lapse.data.datasets.padchest_labels import FINDING_OF, OUTSIDE

PATIENT = "1" * 38


def row(**changes):
    return {
        "": "0",
        "ImageID": "1_a.png",
        "ImageDir": "0",
        "StudyDate_DICOM": "20140915",
        "StudyID": "2" * 39,
        "PatientID": PATIENT,
        "Projection": "PA",
        "MethodLabel": "Physician",
        "Labels": "['normal']",
        "Report": "sin hallazg .",
    } | changes


def write(folder, *rows):
    path = folder / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(row()))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_one(folder, **changes):
    (only,) = read_padchest(write(folder, row(**changes)))
    return only


def test_a_row_is_read_with_its_ids_as_texts(tmp_path):
    film = read_one(tmp_path, StudyID="3137231742710829928-247610802266403640553")
    assert film.study == "3137231742710829928-247610802266403640553"
    assert film.patient == PATIENT and f"{film.date:%Y-%m-%d}" == "2014-09-15"
    assert film.cells.row == 2 and film.view == "PA" and film.labels == ("normal",)


@pytest.mark.parametrize(
    ("projection", "view"),
    [("PA", "PA"), ("AP", "AP"), ("AP_horizontal", "AP"), ("L", ""), ("COSTAL", ""), ("UNK", "")],
)
def test_a_lying_film_is_ap_and_other_projections_are_not_frontal(projection, view, tmp_path):
    film = read_one(tmp_path, Projection=projection)
    assert film.view == (view or projection) and film.is_frontal is bool(view)


@pytest.mark.parametrize(
    ("text", "labels", "is_comparable"),
    [
        ("[' pleural effusion', 'cardiomegaly ', '']", ("pleural effusion", "cardiomegaly"), True),
        ("['']", (), False),
        ("nan", None, False),
        ("['unchanged', 'cardiomegaly']", ("unchanged", "cardiomegaly"), False),
        ("['normal', 'normal']", ("normal",), True),
    ],
)
def test_labels_are_a_printed_list(text, labels, is_comparable, tmp_path):
    film = read_one(tmp_path, Labels=text)
    assert film.labels == labels and film.is_comparable is is_comparable


@pytest.mark.parametrize("text", ["normal", "['a'", "[1]", "__import__('os')", "{'a': 1}", "()"])
def test_what_is_not_a_printed_list_is_refused(text):
    with pytest.raises(ValueError, match="not a printed list"):
        parse_names(text)


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("PatientID", "8.39860488694292e+38", "spreadsheet or a number parser"),
        ("PatientID", "839860488694292331637988235681460987.0", "spreadsheet or a number parser"),
        ("PatientID", "12", "not of the form"),
        ("StudyID", "2.05E+37", "spreadsheet or a number parser"),
        ("StudyDate_DICOM", "15/09/2014", "not a date yyyymmdd"),
        ("StudyDate_DICOM", "20141501", "not a date yyyymmdd"),
        ("ImageID", "", "not the name of a file"),
        ("ImageID", "../a.png", "not the name of a file"),
        ("Labels", "normal", "not a printed list"),
    ],
)
def test_a_cell_that_cannot_be_read_names_row_column_and_value(column, value, match, tmp_path):
    path = write(tmp_path, row(), row(**{column: value}))
    with pytest.raises(ValueError, match=f"row 3, column '{column}'.*{match}"):
        list(read_padchest(path))
    errors = []
    assert len(list(read_padchest(path, on_error=errors.append))) == 1 and len(errors) == 1


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / "PADCHEST_chest_x_ray_images_labels_160K_x.csv"
    path.write_text(",".join(column for column in COLUMNS if column != "Labels"), "utf-8")
    with pytest.raises(ValueError, match="no column 'Labels'"):
        list(read_padchest(path))


def test_names_are_mapped_as_a_whole():
    assert set(FINDING_OF.values()) <= set(FINDINGS)
    names = ["infiltrates", "alveolar pattern", "aortic elongation", "heart insufficiency"]
    assert {FINDING_OF[name] for name in names} == {
        "lung opacity",
        "tortuosity of the thoracic aorta",
        "heart failure",
    }
    outside = ["pericardial effusion", "subcutaneous emphysema", "callus rib fracture", "nodule"]
    assert set(outside) <= set(OUTSIDE) and not set(outside) & set(FINDING_OF)
    assert len(FINDING_OF) == 40 and len(set(OUTSIDE)) == 152  # and "normal": 193 names
