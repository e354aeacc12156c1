"""PadChest-GR: sentences with the boxes of two readers, and the facts of each study."""

import csv
import json
import zipfile

import pytest

from lapse.core.types import Box
from lapse.data.datasets.padchest_gr import read_grounded, valid_box
from lapse.data.datasets.padchest_gr_agreement import area_iou, reader_agreement
from lapse.data.datasets.padchest_gr_master import find_master, read_master

STUDY, PATIENT = "2" * 39, "1" * 38
SENTENCE = {
    "sentence_en": "Small effusion.",
    "sentence_es": "Pequeño derrame.",
    "abnormal": True,
    "boxes": [[0.1, 0.2, 0.5, 0.6]],
    "extra_boxes": [[0.1, 0.2, 0.5, 0.4]],
    "labels": ["pleural effusion"],
    "locations": ["right costophrenic angle"],
    "progression": "worsened",
}
NORMAL = {"sentence_en": "No pneumothorax.", "sentence_es": "Sin neumotórax.", "abnormal": False}


def study(**changes):
    return {
        "StudyID": STUDY,
        "ImageID": "a.png",
        "PreviousStudyID": None,
        "PreviousImageID": None,
        "findings": [SENTENCE, NORMAL],
    } | changes


def write(folder, *studies):
    path = folder / "grounded_reports_20240819.json"
    path.write_text(json.dumps(studies), "utf-8")
    return path


def test_a_sentence_without_abnormality_lacks_boxes_and_labels(tmp_path):
    (read,) = read_grounded(write(tmp_path, study()))
    first, second = read.sentences
    assert first.progression == "worsening" and first.boxes == ((0.1, 0.2, 0.5, 0.6),)
    assert not second.is_abnormal and not second.boxes and not second.labels
    assert read.report("en") == "Small effusion. No pneumothorax."
    assert read.report("es") == "Pequeño derrame. Sin neumotórax."


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"StudyID": 2.2e38}, "a program has read the ids as numbers"),
        ({"StudyID": "2.2e+38"}, "spreadsheet or a number parser"),
        ({"ImageID": ""}, "is empty"),
        ({"PreviousStudyID": "12"}, "not of the form"),
        ({"findings": [SENTENCE | {"progression": "better"}]}, "'better' is not one of improved"),
        ({"findings": [SENTENCE | {"boxes": [[0.1, 0.2]]}]}, "not a list of four numbers"),
        ({"findings": [SENTENCE | {"labels": "edema"}]}, "not a list of names"),
        ({"findings": "none"}, "not a list of objects"),
    ],
)
def test_a_study_that_cannot_be_read_is_named(changes, match, tmp_path):
    path = write(tmp_path, study(), study(**{"StudyID": "3" * 39} | changes))
    with pytest.raises(ValueError, match=f"study 2.*{match}"):
        read_grounded(path)
    errors = []
    assert len(read_grounded(path, on_error=errors.append)) == len(errors) == 1


def test_a_repeated_study_and_a_damaged_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match="occurs twice"):
        read_grounded(write(tmp_path, study(), study()))
    path = write(tmp_path)
    path.write_text('{"a": 1}')
    with pytest.raises(ValueError, match="not a list of studies"):
        read_grounded(path)
    path.write_text('[{"StudyID"')
    with pytest.raises(ValueError, match="not valid JSON"):
        read_grounded(path)


def master_row(**changes):
    return {
        "StudyID": STUDY,
        "ImageID": "a.png",
        "label": "pleural effusion",
        "split": "validation",
        "PatientID": PATIENT,
        "PatientSex_DICOM": "F",
        "StudyDate_DICOM": "20140915",
    } | changes


def write_master(folder, *rows, packed=False):
    path = folder / "master_table.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(master_row()))
        writer.writeheader()
        writer.writerows(rows)
    if packed:
        with zipfile.ZipFile(folder / "master_table.csv.zip", "w") as archive:
            archive.write(path, "master_table.csv")
            archive.writestr("__MACOSX/._master_table.csv", b"")
        path.unlink()
    return find_master(folder)


@pytest.mark.parametrize("packed", [False, True])
def test_the_master_table_has_a_row_per_label(packed, tmp_path):
    path = write_master(tmp_path, master_row(), master_row(label="pneumonia"), packed=packed)
    facts = read_master(path)
    assert list(facts) == [STUDY]
    assert facts[STUDY].split == "validate" and facts[STUDY].patient == PATIENT


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"split": "train"}, "split differs from row 2"),
        ({"PatientID": "3" * 38}, "patient differs from row 2"),
        ({"split": "fold 1"}, "not train, validation or test"),
        ({"PatientID": "1.23E+38"}, "spreadsheet or a number parser"),
        ({"StudyDate_DICOM": "2014"}, "not a date"),
    ],
)
def test_a_row_of_the_master_table_that_contradicts_another_is_named(changes, match, tmp_path):
    path = write_master(tmp_path, master_row(), master_row(**changes))
    with pytest.raises(ValueError, match=f"row 3.*{match}"):
        read_master(path)


def test_a_damaged_master_table_is_refused(tmp_path):
    (tmp_path / "master_table.csv.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match="is damaged"):
        read_master(find_master(tmp_path))
    (tmp_path / "master_table.csv").write_text("StudyID\n1\n")
    with pytest.raises(ValueError, match="no column 'ImageID'"):
        read_master(find_master(tmp_path))


def test_the_agreement_of_two_readers_is_that_of_their_areas(tmp_path):
    half = SENTENCE | {"boxes": [[0, 0, 0.4, 1], [0.4, 0, 0.8, 1]], "extra_boxes": [[0, 0, 0.4, 1]]}
    alone = SENTENCE | {"extra_boxes": []}
    studies = read_grounded(write(tmp_path, study(findings=[SENTENCE, half, alone, NORMAL])))
    assert "two readers boxed 2 sentences: mean IoU 0.50" in reader_agreement(studies)
    assert reader_agreement([]) == ""
    # overlapping boxes of one reader are counted once
    both = [Box(0, 0, 0.5, 1), Box(0.2, 0, 0.5, 1)]
    assert area_iou(both, [Box(0, 0, 0.5, 1)]) == pytest.approx(1.0)
    assert area_iou([Box(0, 0, 0.1, 1)], [Box(0.5, 0, 0.6, 1)]) == 0


def test_a_box_outside_the_image_or_without_area_is_none():
    assert valid_box((0.1, 0.2, 0.5, 0.6)) == Box(0.1, 0.2, 0.5, 0.6)
    assert valid_box((0.1, 0.2, 0.1, 0.6)) is None and valid_box((0.1, 0.2, 1.2, 0.6)) is None
