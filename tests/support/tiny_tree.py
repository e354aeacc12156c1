"""Six simulated patients with two studies each, in the layouts of the four datasets.

The three splits disagree on purpose:

    patient      1      2      3      4      5         6
    MIMIC-CXR    train  train  train  train  validate  test
    ImaGenome    train  train  train  test   train     train
    Diff-VQA     train  train  test   train  validate  test
    safe         train  train  test   test   validate  test
"""

import csv
import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

METADATA = [
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
ANSWER = "the main image is missing the finding of edema than the reference image. "
HEIGHT, WIDTH = 120, 90
PATIENTS = range(1, 7)
MIMIC = {1: "train", 2: "train", 3: "train", 4: "train", 5: "validate", 6: "test"}
IMAGENOME = {1: "train", 2: "train", 3: "train", 4: "test", 5: "train", 6: "train"}
QUESTIONS = {1: "train", 2: "train", 3: "test", 4: "train", 5: "val", 6: "test"}
SAFE = {1: "train", 2: "train", 3: "test", 4: "test", 5: "validate", 6: "test"}
REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 FINDINGS:  There is a nodule of 2.5 cm.
 No edema.

 IMPRESSION:  1. Stable heart.  No pneumothorax.
"""


def patient(number: int) -> int:
    return 19000000 + number


def study(number: int, visit: int) -> int:
    return 51000000 + 10 * number + visit


def dicom(number: int, visit: int, kind: str = "f") -> str:
    return f"{number:08x}-{visit:08x}-{kind}"


def image_file(root: Path, number: int, visit: int, kind: str = "f") -> Path:
    folder = root / f"mimic-cxr-jpg/files/p19/p{patient(number)}/s{study(number, visit)}"
    return folder / f"{dicom(number, visit, kind)}.jpg"


def metadata_row(number: int, visit: int, **changes: object) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(METADATA, "")
    row |= {
        "dicom_id": dicom(number, visit),
        "subject_id": patient(number),
        "study_id": study(number, visit),
        "ViewPosition": "PA",
        "Rows": HEIGHT,
        "Columns": WIDTH,
        "StudyDate": 21800500 + visit,
        "StudyTime": "93014.531",
        "ViewCodeSequence_CodeMeaning": "postero-anterior",
    }
    return row | changes


def box(name: str, x1: int, y1: int, x2: int, y2: int, **changes: object) -> dict[str, object]:
    """One object in both frames, as the real files have it."""
    scale = 224 / max(HEIGHT, WIDTH)
    left, top = (224 - int(WIDTH * scale)) // 2, (224 - int(HEIGHT * scale)) // 2
    small = [
        round(v * scale) + pad for v, pad in zip((x1, y1, x2, y2), [left, top] * 2, strict=True)
    ]
    keys = ("x1", "y1", "x2", "y2")
    return {
        "bbox_name": name,
        **dict(zip(keys, small, strict=True)),
        **{f"original_{key}": value for key, value in zip(keys, (x1, y1, x2, y2), strict=True)},
        "original_width": x2 - x1,
        "original_height": y2 - y1,
        **changes,
    }


def attribute(name: str, *phrases: str) -> dict[str, object]:
    return {name: True, "bbox_name": name, "phrases": list(phrases)}


def graph(image: str) -> dict[str, object]:
    return {
        "image_id": image,
        "objects": [
            box("right lung", 9, 12, 45, 90),
            box("carina", 40, 30, 54, 42),
            box("left cardiac silhouette", 40, 60, 60, 90),
        ],
        "attributes": [
            attribute("right lung", "FINDINGS:  There is a nodule\n of 2.5 cm.", "No edema."),
            attribute("right arm", "The arm is raised."),
        ],
        "relationships": [],
    }


def write_csv(path: Path, header: list[str], rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, header)
        writer.writeheader()
        writer.writerows(rows)


def write_jpg(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (HEIGHT // 10, WIDTH // 10), np.uint8)
    Image.fromarray(noise).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(path, quality=95)


def write_mimic(root: Path) -> None:
    rows, splits = [], []
    for number in PATIENTS:
        for visit in (1, 2):
            lateral = {
                "dicom_id": dicom(number, visit, "l"),
                "ViewPosition": "LATERAL",
                "ViewCodeSequence_CodeMeaning": "lateral",
            }
            rows += [metadata_row(number, visit, **lateral), metadata_row(number, visit)]
            splits += [{**row, "split": MIMIC[number]} for row in rows[-2:]]
            write_jpg(image_file(root, number, visit), study(number, visit))
            report = root / f"mimic-cxr/files/p19/p{patient(number)}/s{study(number, visit)}.txt"
            report.parent.mkdir(parents=True, exist_ok=True)
            report.write_text(REPORT, encoding="utf-8")
    write_csv(root / "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz", METADATA, rows)
    header = ["dicom_id", "study_id", "subject_id", "split"]
    splits = [{key: row[key] for key in header} for row in splits]
    write_csv(root / "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz", header, splits)


def write_graphs(root: Path, graphs: dict[str, dict[str, object]]) -> None:
    silver = root / "chest-imagenome/silver_dataset"
    silver.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(silver / "scene_graph.zip", "w") as archive:
        for image, content in graphs.items():
            archive.writestr(f"scene_graph/{image}_SceneGraph.json", json.dumps(content))


def write_imagenome(root: Path) -> None:
    images = {dicom(number, visit): number for number in PATIENTS for visit in (1, 2)}
    write_graphs(root, {image: graph(image) for image in images})
    header = ["", "subject_id", "study_id", "dicom_id", "path", "ViewPosition"]
    for word, file in (
        ("train", "train"),
        ("validate", "valid"),
        ("test", "test"),
        ("", "images_to_avoid"),
    ):
        rows = [
            {"subject_id": patient(number), "dicom_id": image}
            for image, number in images.items()
            if IMAGENOME[number] == word
        ]
        write_csv(root / f"chest-imagenome/silver_dataset/splits/{file}.csv", header, rows)


def question_rows() -> list[dict[str, object]]:
    rows = []
    for number in PATIENTS:
        common = {
            "study_id": study(number, 2),
            "subject_id": patient(number),
            "ref_id": study(number, 1),
            "split": QUESTIONS[number],
        }
        rows.append(
            {
                **common,
                "question_type": "difference",
                "question": "what has changed compared to the reference image?",
                "answer": ANSWER,
            }
        )
        rows.append(
            {
                **common,
                "question_type": "presence",
                "question": "is there edema?",
                "answer": "no",
            }
        )
    return rows


def write_questions(root: Path, rows: list[dict[str, object]]) -> None:
    header = ["study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split"]
    write_csv(root / "medical-diff-vqa/mimic_pair_questions.csv", header, rows)
    overview = [
        {"subject_id": patient(n), "study_id": study(n, v), "dicom_id": dicom(n, v)}
        for n in PATIENTS
        for v in (1, 2)
    ]
    write_csv(
        root / "medical-diff-vqa/mimic_all.csv", ["subject_id", "study_id", "dicom_id"], overview
    )


def write_tree(root: Path) -> Path:
    """All four trees below `root`."""
    write_mimic(root)
    write_imagenome(root)
    write_questions(root, question_rows())
    return root
