"""One simulated patient: images and reports on disk, rows and scene graphs handed back.

    visits -> acquisition -> render -> JPEG          (mimic-cxr-jpg)
                                    -> DICOM         (mimic-cxr)
           -> report -> text file                    (mimic-cxr)
           -> scene graph                            (chest-imagenome)
           -> questions about pairs                  (medical-diff-vqa)

It runs in any process: everything follows from (config, patient, part) by counted randomness.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from lapse.counted import counted_index
from lapse.phantom.acquisition import draw_acquisition
from lapse.phantom.comparisons import compare
from lapse.phantom.dicom_file import (
    IMAGES,
    is_monochrome1,
    jpeg_image,
    stored_values,
    write_dicom,
)
from lapse.phantom.findings import MAX_VISITS, draw_visits
from lapse.phantom.identity import dicom_name, study_folder, study_number, subject_number
from lapse.phantom.ms_cxr_t import progression_rows
from lapse.phantom.patient import draw_patient
from lapse.phantom.questions import entities, pair_questions, visit_pairs
from lapse.phantom.regions import REGIONS
from lapse.phantom.render import render
from lapse.phantom.report import Report, write_report
from lapse.phantom.scene_graph import GraphSource, scene_graph
from lapse.phantom.state import Visit
from lapse.types import nearest

Row = tuple[str | int | float, ...]

JPEG_QUALITY = 95
LABELS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)
_LABEL_OF = {
    "atelectasis": "Atelectasis",
    "cardiomegaly": "Cardiomegaly",
    "consolidation": "Consolidation",
    "edema": "Edema",
    "fracture": "Fracture",
    "granuloma": "Lung Lesion",
    "lung opacity": "Lung Opacity",
    "pleural effusion": "Pleural Effusion",
    "pleural thickening": "Pleural Other",
    "blunting of the costophrenic angle": "Pleural Other",
    "pneumonia": "Pneumonia",
    "pneumothorax": "Pneumothorax",
}
_VIEWS = {
    "PA": ("CHEST (PA AND LAT)", "postero-anterior"),
    "AP": ("CHEST (PORTABLE AP)", "antero-posterior"),
}
# the words of each data set for one partition: MIMIC-CXR, Chest ImaGenome's file, Diff-VQA
SPLIT_FILE = {"train": "train", "validate": "valid", "test": "test"}
SPLIT_QUESTION = {"train": "train", "validate": "val", "test": "test"}


@dataclass(frozen=True, slots=True)
class SimulateConfig:
    """What to simulate.

    Attributes:
        patients: how many patients.
        seed: root of all randomness.
        size: side of the square images in pixels.
        visits: fewest and most visits of a patient.
        nuisance: strength of everything that is not a finding, 0 .. 1.5.
        confound: how far the view follows illness, 0 (not) .. 1 (as in hospitals).
        prevalence: multiplies how often findings begin.
        priors: print sentences that compare with the study before.
        processes: how many to use; the files do not depend on it.
        images: "jpeg"; or "dicom"; or "both", and then the JPEGs are made of the DICOMs as
            MIMIC-CXR-JPG's were, where "jpeg" equalises only in part.
    """

    patients: int
    seed: int
    size: int
    visits: tuple[int, int] = (2, 4)
    nuisance: float = 1.0
    confound: float = 0.0
    prevalence: float = 1.0
    priors: bool = False
    processes: int = 1
    images: str = "jpeg"

    def __post_init__(self) -> None:
        low, high = self.visits
        if not 1 <= low <= high <= MAX_VISITS:
            raise ValueError(f"visits {low}-{high}: need 1 <= fewest <= most <= {MAX_VISITS}")
        if not 64 <= self.size <= 3072:
            raise ValueError(f"image size {self.size} px: choose between 64 and 3072")
        if not 0.0 <= self.confound <= 1.0:
            raise ValueError(f"confound {self.confound}: choose between 0 and 1")
        if not 0.0 <= self.nuisance <= 1.5:
            raise ValueError(f"nuisance {self.nuisance}: choose between 0 and 1.5")
        if self.prevalence < 0.0:
            raise ValueError(f"prevalence {self.prevalence} is negative: 0 is the least")
        if self.processes < 1:
            raise ValueError(f"processes {self.processes}: at least one")
        if self.images not in IMAGES:
            raise ValueError(f"no images {self.images!r}; {nearest(self.images, IMAGES)}")


@dataclass(slots=True)
class PatientFiles:
    """What one patient adds to the shared tables, and what was counted on the way."""

    patient: int
    part: str
    metadata: list[Row] = field(default_factory=list)
    split: list[Row] = field(default_factory=list)
    labels: list[Row] = field(default_factory=list)
    imagenome: list[Row] = field(default_factory=list)
    graphs: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    questions: list[Row] = field(default_factory=list)
    overview: list[Row] = field(default_factory=list)
    progressions: list[Row] = field(default_factory=list)
    diseases: list[dict[str, Any]] = field(default_factory=list)
    num_boxes: int = 0
    num_described: int = 0
    num_words: int = 0


def write_patient(out: Path, config: SimulateConfig, patient: int, part: str) -> PatientFiles:
    """Render and describe every visit of one patient below `out`.

    Images and reports are written; everything that shares a file with other patients returns.
    """
    seed = config.seed
    person = draw_patient(seed, patient)
    low, high = config.visits
    count = low + counted_index(high - low + 1, seed, "phantom/visits", patient)
    visits = draw_visits(seed, patient, count, age=person.age, prevalence=config.prevalence)
    files = PatientFiles(patient, part)
    views: list[str] = []
    for visit in visits:
        acquisition = draw_acquisition(
            seed,
            patient,
            visit.index,
            0,
            illness=visit.illness,
            nuisance=config.nuisance,
            confound=config.confound,
        )
        view = acquisition.view
        views.append(view)
        earlier = visits[visit.index - 1] if visit.index else None
        report = write_report(
            visit, view, seed=seed, person=person, earlier=earlier, priors=config.priors
        )
        rendered = render(person, visit, acquisition, config.size)
        height, width = rendered.image.shape
        source = GraphSource(
            dicom_id=dicom_name(seed, patient, visit.index),
            subject_id=subject_number(seed, patient),
            study_id=study_number(seed, patient, visit.index),
            view=view,
            sex=person.sex,
            age=person.age,
            order=visit.index + 1,
            taken_at=visit.taken_at,
            width=width,
            height=height,
            boxes=rendered.boxes,
            report=report,
            compared=compare(earlier, visit, (seed, "phantom/report", patient, visit.index))
            if earlier
            else (),
            previous_dicom=dicom_name(seed, patient, visit.index - 1) if earlier else "",
        )
        _write_report(out, source)
        image = rendered.image
        if config.images != "jpeg":
            values = stored_values(rendered.tone, acquisition)
            image = jpeg_image(values)
            is_inverted = is_monochrome1(seed, patient, visit.index)
            write_dicom(_image_path(out, "dcm", source), values, source, is_inverted=is_inverted)
        if config.images != "dicom":
            Image.fromarray(image).save(_image_path(out, "jpg", source), quality=JPEG_QUALITY)
        _add_rows(files, source, visit, "Recumbent" if acquisition.is_supine else "Erect")
    files.progressions = progression_rows(visits, part, seed)
    for reference, main in visit_pairs(visits):
        for item in pair_questions(reference, main, views[main.index], seed=seed):
            files.questions.append(
                (
                    study_number(seed, patient, main.index),
                    subject_number(seed, patient),
                    study_number(seed, patient, reference.index),
                    item.category,
                    item.question,
                    item.answer,
                    SPLIT_QUESTION[part],
                )
            )
    return files


def _image_path(out: Path, kind: str, source: GraphSource) -> Path:
    """A new image, `jpg` beside the tables or `dcm` beside the reports; its folder is made."""
    root = out / ("mimic-cxr-jpg" if kind == "jpg" else "mimic-cxr")
    folder = root / study_folder(source.subject_id, source.study_id)
    folder.mkdir(parents=True)
    return folder / f"{source.dicom_id}.{kind}"


def _write_report(out: Path, source: GraphSource) -> None:
    folder = study_folder(source.subject_id, source.study_id)
    text_file = out / "mimic-cxr" / f"{folder}.txt"
    text_file.parent.mkdir(parents=True, exist_ok=True)
    text_file.write_text(source.report.text, encoding="utf-8", newline="\n")


def _add_rows(files: PatientFiles, source: GraphSource, visit: Visit, posture: str) -> None:
    dicom, subject, study = source.dicom_id, source.subject_id, source.study_id
    exam, code = _VIEWS[source.view]
    taken = source.taken_at
    date = int(f"{taken:%Y%m%d}")
    clock = float(f"{taken:%H%M%S}.{taken.microsecond // 1000:03d}")
    size = (source.height, source.width)
    files.metadata.append(
        (dicom, subject, study, exam, source.view, *size, date, clock, exam, code, posture)
    )
    files.split.append((dicom, study, subject, files.part))
    labels = _labels(visit, source.report)
    files.labels.append((subject, study, *labels))
    path = f"{study_folder(subject, study)}/{dicom}.dcm"
    files.imagenome.append((subject, study, dicom, path, source.view))
    files.overview.append((subject, study, *labels, dicom, code, files.part, date, source.order))
    said = entities(visit, source.report.denied)
    files.diseases.append({"study_id": str(study), "subject_id": str(subject), **said})
    graph = scene_graph(source)
    files.graphs.append((dicom, graph))
    described = set(source.report.phrases) & {item["bbox_name"] for item in graph["objects"]}
    files.num_boxes += sum(name in REGIONS for name in source.boxes)
    files.num_described += sum(name in REGIONS for name in described)
    files.num_words += sum(len(item.text.split()) for item in source.report.statements)


def _labels(visit: Visit, report: Report) -> tuple[str, ...]:
    """The 14 labels: "1.0" affirmed, "0.0" denied, "" not mentioned."""
    found = {_LABEL_OF[item.name] for item in visit.findings if item.name in _LABEL_OF}
    denied = {_LABEL_OF[name] for name in report.denied if name in _LABEL_OF} - found
    if any(device.name != "ecg leads" for device in visit.devices):
        found.add("Support Devices")
    if not visit.findings:
        found.add("No Finding")
    return tuple("1.0" if name in found else "0.0" if name in denied else "" for name in LABELS)
