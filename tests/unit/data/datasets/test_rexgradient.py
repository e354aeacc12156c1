"""ReXGradient-160K: views of free text in a list that may be short, "None" as a text."""

import json

import pytest

from lapse.data.datasets.rexgradient import metadata_files, read_rexgradient, view_of


def study(**changes):
    return {
        "PatientID": "GRDN01",
        "StudyDate": 20200102,
        "Findings": "No edema.\nNo effusion.",
        "Impression": "None",
        "ImagePath": ["../deid_png/GRDN01/a/1.png", "../deid_png/GRDN01/a/2.png"],
        "ImageViewPosition": ["LATERAL", "Postero_Anterior"],
    } | changes


def write(folder, studies, name="test_metadata_view_position.json"):
    path = folder / "metadata" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(studies), "utf-8")
    return path


def test_a_study_is_read(tmp_path):
    (read,) = read_rexgradient(write(tmp_path, {"GRDN01_1": study()}), "test")
    assert read.study == "GRDN01_1" and read.patient == "GRDN01" and read.split == "test"
    assert read.report == "No edema. No effusion."
    assert read.frontal == ("GRDN01/a/2.png", "PA") and f"{read.date:%Y-%m-%d}" == "2020-01-02"


def test_a_short_list_of_views_leaves_the_rest_without_a_view(tmp_path):
    changes = {"ImageViewPosition": ["AP (KUB)"], "Findings": float("nan"), "StudyDate": None}
    (read,) = read_rexgradient(write(tmp_path, {"1": study(**changes)}), "train")
    assert [view for _, view in read.images] == ["?AP (KUB)", ""] and read.num_views == 1
    assert read.frontal is None and read.report == "" and read.date is None


@pytest.mark.parametrize(
    ("word", "view"),
    [
        ("ap", "AP"),
        ("POSTERO_ANTERIOR", "PA"),
        ("LL", "lateral"),
        ("N/A", ""),
        (None, ""),
        ("X", "?X"),
    ],
)
def test_views_are_compared_as_a_whole(word, view):
    assert view_of(word) == view


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"PatientID": None}, "is empty"),
        ({"StudyDate": "2020-13-01"}, "not a date"),
        ({"ImagePath": ["../../etc/1.png"]}, "not below deid_png"),
        ({"ImagePath": "1.png"}, "not lists"),
    ],
)
def test_a_study_that_cannot_be_read_is_named(changes, match, tmp_path):
    path = write(tmp_path, {"1": study(), "2": study(**changes)})
    with pytest.raises(ValueError, match=f"study 2.*{match}"):
        read_rexgradient(path, "test")
    errors = []
    assert len(read_rexgradient(path, "test", on_error=errors.append)) == len(errors) == 1


def test_the_parts_are_in_the_folder_of_metadata(tmp_path):
    path = write(tmp_path, {})
    assert metadata_files(tmp_path) == (path,)
    assert not metadata_files(tmp_path / "metadata")
    path.write_text("[]")
    with pytest.raises(ValueError, match="not an object of studies"):
        read_rexgradient(path, "test")
