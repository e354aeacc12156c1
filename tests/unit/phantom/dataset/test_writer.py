"""Simulated files: layouts, keys that join, splits, and the description of the data."""

import csv
import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from lapse.phantom.dataset.writer import SimulateConfig, simulate
from report_findings import extract_findings

CONFIG = SimulateConfig(patients=6, seed=4, size=96, visits=(2, 3))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "raw"
    calls = []
    report = simulate(out, CONFIG, lambda done, total: calls.append((done, total)))
    assert calls == [(count, 6) for count in range(1, 7)]
    return out, report


def rows(path: Path) -> list[dict[str, str]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_images_reports_and_tables_join(tree):
    out, report = tree
    jpg = out / "mimic-cxr-jpg"
    metadata = rows(jpg / "mimic-cxr-2.0.0-metadata.csv.gz")
    assert list(metadata[0]) == [
        "dicom_id",
        "subject_id",
        "study_id",
        "PerformedProcedureStepDescription",
        "ViewPosition",
        "Rows",
        "Columns",
        "StudyDate",
        "StudyTime",
        "ProcedureCodeSequence_CodeMeaning",
        "ViewCodeSequence_CodeMeaning",
        "PatientOrientationCodeSequence_CodeMeaning",
    ]
    assert len(metadata) == report.num_studies == len(list(jpg.rglob("*.jpg")))
    diseases = json.loads((out / "medical-diff-vqa" / "all_diseases.json").read_text())
    named = {item["study_id"]: set(item["entity"]) for item in diseases}
    for row in metadata:
        subject, study = row["subject_id"], row["study_id"]
        folder = f"files/p{subject[:2]}/p{subject}/s{study}"
        with Image.open(jpg / folder / f"{row['dicom_id']}.jpg") as image:
            assert (image.format, image.mode) == ("JPEG", "L")
            assert image.size == (int(row["Columns"]), int(row["Rows"]))
        text = (out / "mimic-cxr" / f"{folder}.txt").read_text()
        assert extract_findings(text) == named[study]
        assert len(subject) == len(study) == len(row["StudyDate"]) == 8
        assert 0 <= float(row["StudyTime"]) < 240000
    for kind in ("chexpert", "negbio"):
        labels = rows(jpg / f"mimic-cxr-2.0.0-{kind}.csv.gz")
        assert len(labels) == len(metadata) and len(labels[0]) == 16
        assert {value for row in labels for value in list(row.values())[2:]} <= {"1.0", "0.0", ""}
    overview = rows(out / "medical-diff-vqa" / "mimic_all.csv")
    assert len(overview) == len(metadata) and len(overview[0]) == 21
    assert {row["view"] for row in overview} <= {"postero-anterior", "antero-posterior"}


def test_the_three_data_sets_have_the_same_splits(tree):
    out, _ = tree
    split = rows(out / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-split.csv.gz")
    assert list(split[0]) == ["dicom_id", "study_id", "subject_id", "split"]
    split_of = {row["subject_id"]: row["split"] for row in split}
    assert set(split_of.values()) == {"train", "validate", "test"}
    silver = out / "chest-imagenome" / "silver_dataset" / "splits"
    for name, expected in (("train", "train"), ("valid", "validate"), ("test", "test")):
        text = (silver / f"{name}.csv").read_text()
        assert text.startswith(",subject_id,study_id,dicom_id,path,ViewPosition\n0,")
        images = rows(silver / f"{name}.csv")
        assert {split_of[row["subject_id"]] for row in images} == {expected}
        assert all(row["path"].endswith(f"{row['dicom_id']}.dcm") for row in images)
    assert rows(silver / "images_to_avoid.csv") == []
    for row in rows(out / "medical-diff-vqa" / "mimic_pair_questions.csv"):
        assert {"val": "validate"}.get(row["split"], row["split"]) == split_of[row["subject_id"]]


def test_the_main_study_of_a_question_is_later_than_the_reference(tree):
    out, report = tree
    metadata = rows(out / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-metadata.csv.gz")
    taken = {row["study_id"]: (row["StudyDate"], float(row["StudyTime"])) for row in metadata}
    questions = rows(out / "medical-diff-vqa" / "mimic_pair_questions.csv")
    columns = "study_id,subject_id,ref_id,question_type,question,answer,split"
    assert list(questions[0]) == columns.split(",")
    assert sum(report.questions.values()) == len(questions)
    for row in questions:
        assert all(row.values())
        assert taken[row["ref_id"]] < taken[row["study_id"]]


def test_the_archive_has_one_scene_graph_per_image(tree):
    out, report = tree
    split = rows(out / "mimic-cxr-jpg" / "mimic-cxr-2.0.0-split.csv.gz")
    with zipfile.ZipFile(out / "chest-imagenome/silver_dataset/scene_graph.zip") as archive:
        names = set(archive.namelist())
        assert names == {f"scene_graph/{row['dicom_id']}_SceneGraph.json" for row in split}
        graph = json.loads(archive.read(f"scene_graph/{split[0]['dicom_id']}_SceneGraph.json"))
    assert graph["image_id"] == split[0]["dicom_id"]
    assert {item["bbox_name"] for item in graph["objects"]} > {"right lung", "carina", "abdomen"}
    assert 6 < report.described_per_image < 12


def test_a_folder_that_is_not_empty_is_rejected(tree, tmp_path):
    out, _ = tree
    with pytest.raises(ValueError, match="not empty"):
        simulate(out, CONFIG)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="not empty"):
        simulate(tmp_path / "file", CONFIG)


def test_the_description_names_the_options(tree):
    text = (tree[0] / "SIMULATED.txt").read_text()
    assert "not patients" in text and "seed: 4" in text and "processes" not in text
