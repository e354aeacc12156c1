"""Raw trees of many studies with little content, to measure the memory per study.

Tables have the real layout, images are hard links to a few tiny JPEGs, and a few studies have a
scene graph and a report. Three questions per study, four studies per patient, and one lateral
image per study.
"""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

import tiny_tree

VISITS = 4
QUESTIONS = 3
MAX_LINKS = 20_000  # file systems limit the names of one file
SPLITS = ("train",) * 8 + ("validate", "test")
SIDE = 16


def patient(number: int) -> int:
    return 10_000_000 + number * 37


def study(number: int, visit: int) -> int:
    return 50_000_000 + number * VISITS + visit


def dicom(number: int, visit: int, kind: int = 0) -> str:
    """An id of realistic length."""
    return "-".join(f"{(number * 9_176 + visit * 31 + kind * 7 + part) & 0xFFFFFFFF:08x}"
                    for part in (0, 1 << 20, 2 << 20, 3 << 20, 4 << 20))  # fmt: skip


def write_wide_tree(root: Path, num_studies: int) -> Path:
    """All four trees with `num_studies` studies, a multiple of four."""
    patients = range(num_studies // VISITS)
    _write_images(root, patients)
    _write_mimic(root, patients)
    _write_imagenome(root, patients)
    _write_questions(root, patients)
    return root


def _split(number: int) -> str:
    return SPLITS[number % len(SPLITS)]


def _table(path: Path, header: list[str], rows: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_images(root: Path, patients: range) -> None:
    sources: list[Path] = []
    count = 0
    for number in patients:
        person = root / f"mimic-cxr-jpg/files/p{str(patient(number))[:2]}/p{patient(number)}"
        for visit in range(VISITS):
            folder = person / f"s{study(number, visit)}"
            folder.mkdir(parents=True)
            if count % MAX_LINKS == 0:
                sources.append(root / f"source-{len(sources)}.jpg")
                noise = np.random.default_rng(count).integers(0, 256, (SIDE, SIDE), np.uint8)
                Image.fromarray(noise).save(sources[-1])
            (folder / f"{dicom(number, visit)}.jpg").hardlink_to(sources[-1])
            count += 1
    for source in sources:
        source.unlink()
    for number in patients[:3]:
        report = root / f"mimic-cxr/files/p10/p{patient(number)}/s{study(number, 0)}.txt"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(tiny_tree.REPORT, encoding="utf-8")


def _metadata(patients: range) -> object:
    for number in patients:
        for visit in range(VISITS):
            common = {
                "subject_id": patient(number),
                "study_id": study(number, visit),
                "Rows": SIDE,
                "Columns": SIDE,
                "StudyDate": 21800101 + visit + 100 * (number % 12),
                "StudyTime": f"{number % 24}{number % 60:02d}{visit:02d}.531",
            }
            lateral = {"dicom_id": dicom(number, visit, 1), "ViewPosition": "LATERAL"}
            frontal = {"dicom_id": dicom(number, visit), "ViewPosition": "PA"}
            for view in (frontal, lateral):
                row = {**dict.fromkeys(tiny_tree.METADATA, ""), **common, **view}
                yield list(row.values())


def _write_mimic(root: Path, patients: range) -> None:
    folder = root / "mimic-cxr-jpg"
    _table(folder / "mimic-cxr-2.0.0-metadata.csv", tiny_tree.METADATA, _metadata(patients))
    rows = (
        (dicom(number, visit, kind), study(number, visit), patient(number), _split(number))
        for number in patients
        for visit in range(VISITS)
        for kind in (0, 1)
    )
    header = ["dicom_id", "study_id", "subject_id", "split"]
    _table(folder / "mimic-cxr-2.0.0-split.csv", header, rows)


def _write_imagenome(root: Path, patients: range) -> None:
    silver = root / "chest-imagenome/silver_dataset"
    silver.mkdir(parents=True)
    with zipfile.ZipFile(silver / "scene_graph.zip", "w") as archive:
        for number in patients[:3]:
            name = dicom(number, 0)
            content = json.dumps(tiny_tree.graph(name))
            archive.writestr(f"scene_graph/{name}_SceneGraph.json", content)
    header = ["", "subject_id", "study_id", "dicom_id", "path", "ViewPosition"]
    for word, file in (("train", "train"), ("validate", "valid"), ("test", "test")):
        rows = (
            ("", patient(number), study(number, visit), dicom(number, visit), "", "PA")
            for number in patients
            if _split(number) == word
            for visit in range(VISITS)
        )
        _table(silver / f"splits/{file}.csv", header, rows)
    _table(silver / "splits/images_to_avoid.csv", header, ())


def _write_questions(root: Path, patients: range) -> None:
    words = {"train": "train", "validate": "val", "test": "test"}
    header = ["study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split"]
    kinds = (
        ("difference", "what has changed compared to the reference image?", tiny_tree.ANSWER),
        ("presence", "is there edema?", "no"),
        ("view", "which view is this image taken?", "PA view"),
    )
    rows = (
        (study(number, visit), patient(number), study(number, max(0, visit - 1)), *kind,
         words[_split(number)])
        for number in patients
        for visit in range(VISITS)
        for kind in kinds
    )  # fmt: skip
    _table(root / "medical-diff-vqa/mimic_pair_questions.csv", header, rows)
    overview = (
        (patient(number), study(number, visit), dicom(number, visit))
        for number in patients
        for visit in range(VISITS)
    )
    header = ["subject_id", "study_id", "dicom_id"]
    _table(root / "medical-diff-vqa/mimic_all.csv", header, overview)
