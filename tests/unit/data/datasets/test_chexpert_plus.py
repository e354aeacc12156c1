"""CheXpert Plus: .jpg paths of PNG files, one report per study, a contested order."""

import csv

import pytest

from lapse.data.datasets.chexpert_plus import (
    first_frontals,
    image_file,
    order_conflicts,
    read_chexpert,
    study_of_path,
)


def row(study=1, view=1, patient="patient00001", **changes):
    return {
        "path_to_image": f"train/{patient}/study{study}/view{view}_frontal.jpg",
        "frontal_lateral": "Frontal",
        "ap_pa": "AP",
        "deid_patient_id": patient,
        "patient_report_date_order": str(study),
        "section_findings": "The lungs\nare clear.",
        "section_impression": "nan",
        "age": "68.0",
        "split": "train",
        "race": "",
    } | changes


def read(folder, *rows, **options):
    path = folder / "df_chexpert_plus_240401.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(row()))
        writer.writeheader()
        writer.writerows(rows)
    return list(read_chexpert(path, **options))


def test_a_row_is_read(tmp_path):
    (film,) = read(tmp_path, row(split="valid"))
    assert film.study == "patient00001-study1" and film.order == film.report_order == 1
    assert film.report == "The lungs are clear."
    assert film.age == 68 and film.view == "AP" and film.split == "validate"


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"path_to_image": "a.jpg"}, "not train/patient"),
        ({"path_to_image": "train/patient00001/study1/../x.jpg"}, "not train/patient"),
        ({"deid_patient_id": "patient00002"}, "differs from patient00001"),
        ({"split": "test"}, "not train or valid"),
        ({"age": "old"}, "not a number"),
        ({"patient_report_date_order": "first"}, "not a number"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(changes, match, tmp_path):
    if changes.get("split") == "test":
        changes = {"split": "fold"}
    with pytest.raises(ValueError, match=f"row 3.*{match}"):
        read(tmp_path, row(), row(**changes))


def test_the_first_frontal_image_stands_for_a_study(tmp_path):
    lateral = row(
        frontal_lateral="Lateral", ap_pa="", view=2, path_to_image=row(1, 0)["path_to_image"]
    )
    rows = read(tmp_path, lateral, row(), row(view=3, section_findings="Another report."))
    (film,) = first_frontals(rows).values()
    assert film.report == "The lungs are clear."


def test_an_image_is_searched_under_any_ending(tmp_path):
    path = row()["path_to_image"]
    assert image_file(tmp_path, path) is None
    file = (tmp_path / path).with_suffix(".png")
    file.parent.mkdir(parents=True)
    file.touch()
    assert image_file(tmp_path, path) == file


def test_neighbours_conflict_where_order_or_age_does_not_grow(tmp_path):
    rows = read(
        tmp_path,
        row(1, age="60"),
        row(2, age="61"),
        row(3, age="60"),
        row(4, age="62", patient_report_date_order="1"),
        row(5, age="62", patient_report_date_order=""),
        row(1, patient="patient00002", age="20"),
    )
    assert [(early.order, late.order) for early, late in order_conflicts(rows)] == [
        (2, 3),
        (3, 4),
    ]


def test_the_paths_of_the_first_release_are_known():
    path = "CheXpert-v1.0-small/train/patient64540/study12/view1_frontal.jpg"
    assert study_of_path(path) == ("patient64540", 12)
    assert study_of_path("patient64540/study12/view1_frontal.jpg") is None
