"""Raw trees with the proportions of MIMIC-CXR, from a few studies to all 227,835 of them.

Tables, reports, scene graphs and the number of files are those of the releases; images are hard
links to a few JPEGs of 120 x 90 pixels, which decode in no time. As a script, it writes a tree:

    PYTHONPATH=src:tests/support python tests/support/wide_tree.py RAW 227835
"""

from __future__ import annotations

import argparse
import csv
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tiny_tree
from lapse.core.annotation_names import REGIONS
from lapse.data.datasets.release_counts import DIFF_VQA, MIMIC_CXR, PUBLISHED

NUM_STUDIES = PUBLISHED[MIMIC_CXR, "studies"]
NUM_LATER = NUM_STUDIES - PUBLISHED[MIMIC_CXR, "patients"]  # studies with an earlier one
NUM_LATERAL = 10_850  # studies without a frontal image
NUM_SECOND = 26_300  # studies with a second frontal image
QUESTIONS = {
    "abnormality": ("what abnormalities are seen in this image?", "edema"),
    "presence": ("is there edema?", "no"),
    "view": ("which view is this image taken?", "PA view"),
    "location": ("where in the image is the edema located?", "left lung"),
    "level": ("what level is the edema?", "mild"),
    "type": ("what type is the opacity?", "linear"),
}
DIFFERENCE = ("difference", "what has changed compared to the reference image?", tiny_tree.ANSWER)
MAX_LINKS = 20_000  # file systems limit the names of one file
SPLITS = ("train",) * 7 + ("validate", "test", "test")
FINDINGS = (
    "The lungs are clear without focal consolidation. No pleural effusion or pneumothorax.",
    "There is a small left pleural effusion with adjacent atelectasis. No pneumothorax is seen.",
    "Mild pulmonary edema has improved since the prior study. The heart is mildly enlarged.",
    "An endotracheal tube ends above the carina. Right basal opacity, as compared to yesterday.",
    "Low lung volumes with bronchovascular crowding. Cardiac and mediastinal contours are normal.",
)
REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___ year old patient with cough  // pneumonia?

 COMPARISON:  ___.

 FINDINGS:

 {}
 {}
 {}

 IMPRESSION:

 {}
"""


@dataclass(frozen=True)
class WideStudy:
    """A study: its number from 0, its patient and visit from 0, and the views of its images."""

    number: int
    patient: int
    visit: int
    views: tuple[str, ...]

    @property
    def subject_id(self) -> int:
        return 10_000_000 + self.patient * 152

    @property
    def study_id(self) -> int:
        return 50_000_000 + self.number * 43

    @property
    def dicoms(self) -> list[str]:
        """Ids of realistic length."""
        return [
            "-".join(
                f"{(self.number * 9_176 + image * 7 + part) & 0xFFFFFFFF:08x}"
                for part in (0, 1 << 20, 2 << 20, 3 << 20, 4 << 20)
            )
            for image in range(len(self.views))
        ]

    @property
    def frontals(self) -> list[str]:
        pairs = zip(self.dicoms, self.views, strict=True)
        return [dicom for dicom, view in pairs if view != "LATERAL"]

    @property
    def folder(self) -> str:
        return f"files/p{str(self.subject_id)[:2]}/p{self.subject_id}/s{self.study_id}"

    @property
    def split(self) -> str:
        return SPLITS[self.patient % len(SPLITS)]


def wide_studies(num_studies: int) -> Iterator[WideStudy]:
    """Studies, patients and images in the proportions of MIMIC-CXR."""
    num_patients = max(1, num_studies * PUBLISHED[MIMIC_CXR, "patients"] // NUM_STUDIES)
    num_images = num_studies * PUBLISHED[MIMIC_CXR, "images"] // NUM_STUDIES
    number = 0
    for patient in range(num_patients):
        for visit in range(1 + _extra(patient, num_studies - num_patients, num_patients)):
            frontal = "PA" if patient % 2 else "AP"
            is_lateral = _extra(number, NUM_LATERAL, NUM_STUDIES)
            views = ["LATERAL" if is_lateral else frontal]
            if _extra(number, num_images - num_studies, num_studies):
                is_second = _extra(number, NUM_SECOND * 3 // 2, NUM_STUDIES) and not is_lateral
                views.append(frontal if is_second else "LATERAL")
            yield WideStudy(number, patient, visit, tuple(views))
            number += 1


def write_wide_tree(root: Path, num_studies: int) -> Path:
    """All four trees with `num_studies` studies."""
    _write_files(root, wide_studies(num_studies))
    _write_mimic(root, num_studies)
    _write_imagenome(root, num_studies)
    _write_questions(root, num_studies)
    return root


def _extra(index: int, count: int, total: int) -> int:
    """How many of `count` things that are spread evenly over `total` places are in one place."""
    return (index + 1) * count // total - index * count // total


def _table(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_files(root: Path, studies: Iterable[WideStudy]) -> None:
    """The images and the reports."""
    sources: list[Path] = []
    count = 0
    for study in studies:
        folder = root / "mimic-cxr-jpg" / study.folder
        folder.mkdir(parents=True)
        for dicom in study.dicoms:
            if count % MAX_LINKS == 0:
                sources.append(root / f"source-{len(sources)}.jpg")
                tiny_tree.write_jpg(sources[-1], count)
            (folder / f"{dicom}.jpg").hardlink_to(sources[-1])
            count += 1
        report = root / "mimic-cxr" / f"{study.folder}.txt"
        report.parent.mkdir(parents=True, exist_ok=True)
        texts = [FINDINGS[(study.number + shift) % len(FINDINGS)] for shift in range(4)]
        report.write_text(REPORT.format(*texts), encoding="utf-8")
    for source in sources:
        source.unlink()


def _write_mimic(root: Path, num_studies: int) -> None:
    folder = root / "mimic-cxr-jpg"
    header = tiny_tree.METADATA
    rows = (
        (dicom, study.subject_id, study.study_id, "CHEST (PA AND LAT)", view, tiny_tree.HEIGHT,
         tiny_tree.WIDTH, 21800101 + study.visit + 100 * (study.patient % 12),
         f"{study.patient % 24}{study.patient % 60:02d}{study.visit:02d}.531",
         "CHEST (PA AND LAT)", view.lower(), "Erect")
        for study in wide_studies(num_studies)
        for dicom, view in zip(study.dicoms, study.views, strict=True)
    )  # fmt: skip
    _table(folder / "mimic-cxr-2.0.0-metadata.csv", header, rows)
    splits = (
        (dicom, study.study_id, study.subject_id, study.split)
        for study in wide_studies(num_studies)
        for dicom in study.dicoms
    )
    header = ["dicom_id", "study_id", "subject_id", "split"]
    _table(folder / "mimic-cxr-2.0.0-split.csv", header, splits)


def _graph(image: str, kind: int) -> str:
    """A scene graph with 29 boxes and nine regions that are described."""
    objects = [
        tiny_tree.box(name, 5 + place, 8 + place, 40 + place, 60 + place)
        for place, name in enumerate(REGIONS)
    ]
    attributes = [
        tiny_tree.attribute(name, FINDINGS[(kind + place) % len(FINDINGS)])
        for place, name in enumerate(REGIONS[::3][:9])
    ]
    return json.dumps(
        {"image_id": image, "objects": objects, "attributes": attributes, "relationships": []}
    )


def _write_imagenome(root: Path, num_studies: int) -> None:
    silver = root / "chest-imagenome/silver_dataset"
    silver.mkdir(parents=True)
    graphs = [_graph("IMAGE", kind) for kind in range(len(FINDINGS))]
    packed = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(silver / "scene_graph.zip", "w", packed, compresslevel=1) as archive:
        for study in wide_studies(num_studies):
            for name in study.frontals:
                content = graphs[study.number % len(graphs)].replace("IMAGE", name)
                archive.writestr(f"scene_graph/{name}_SceneGraph.json", content)
    header = ["", "subject_id", "study_id", "dicom_id", "path", "ViewPosition"]
    for word, file in (("train", "train"), ("validate", "valid"), ("test", "test")):
        rows = (
            ("", study.subject_id, study.study_id, dicom, f"{study.folder}/{dicom}.dcm", "PA")
            for study in wide_studies(num_studies)
            if study.split == word
            for dicom in study.frontals
        )
        _table(silver / f"splits/{file}.csv", header, rows)
    _table(silver / "splits/images_to_avoid.csv", header, ())


def _questions(num_studies: int) -> Iterator[tuple[object, ...]]:
    words = {"train": "train", "validate": "val", "test": "test"}
    num_later = reference = 0
    for study in wide_studies(num_studies):
        reference = reference if study.visit else study.study_id
        common = study.study_id, study.subject_id, reference
        for category, texts in QUESTIONS.items():
            for _ in range(_extra(study.number, PUBLISHED[DIFF_VQA, category], NUM_STUDIES)):
                yield *common, category, *texts, words[study.split]
        if study.visit:
            for _ in range(_extra(num_later, PUBLISHED[DIFF_VQA, "difference"], NUM_LATER)):
                yield *common, *DIFFERENCE, words[study.split]
            num_later += 1
        reference = study.study_id


def _write_questions(root: Path, num_studies: int) -> None:
    header = ["study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split"]
    _table(root / "medical-diff-vqa/mimic_pair_questions.csv", header, _questions(num_studies))
    overview = (
        (study.subject_id, study.study_id, (study.frontals or study.dicoms)[0])
        for study in wide_studies(num_studies)
    )
    header = ["subject_id", "study_id", "dicom_id"]
    _table(root / "medical-diff-vqa/mimic_all.csv", header, overview)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("studies", type=int)
    arguments = parser.parse_args()
    write_wide_tree(arguments.root, arguments.studies)
