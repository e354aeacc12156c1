"""One simulated patient: images and reports on disk, rows and scene graphs handed back.

    visits -> acquisition -> render -> JPEG          (mimic-cxr-jpg)
                                    -> DICOM         (mimic-cxr)
           -> report -> text file                    (mimic-cxr)
           -> scene graph                            (chest-imagenome)
           -> questions about pairs                  (medical-diff-vqa)
           -> the truth of every study and pair      (phantom)

It runs in any process: everything follows from (config, patient, role) by counted randomness.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from lapse.phantom.dataset.dicom_file import is_monochrome1, jpeg_image, stored_values, write_dicom
from lapse.phantom.dataset.history import Exposure, History, draw_history
from lapse.phantom.dataset.ms_cxr_t import progression_rows
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.roles import Role
from lapse.phantom.dataset.scene_graph import GraphSource, scene_graph
from lapse.phantom.dataset.truth import pair_rows, state_line, states_of
from lapse.phantom.patients.identity import dicom_name, study_folder, study_number, subject_number
from lapse.phantom.patients.regions import REGIONS
from lapse.phantom.patients.state import Visit
from lapse.phantom.rendering.render import render
from lapse.phantom.text.comparisons import compare
from lapse.phantom.text.questions import entities, pair_questions
from lapse.phantom.text.report import Report, write_report

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


@dataclass(slots=True)
class PatientFiles:
    """What one patient adds to the shared tables, and what was counted on the way.

    Rows hold strings and numbers only and graphs are JSON already, so that all of it goes through
    a block's file (lapse.phantom.dataset.resume_blocks) and comes back unchanged.
    """

    patient: int
    part: str
    metadata: list[Row] = field(default_factory=list)
    split: list[Row] = field(default_factory=list)
    labels: list[Row] = field(default_factory=list)
    imagenome: list[Row] = field(default_factory=list)
    graphs: list[tuple[str, str]] = field(default_factory=list)
    questions: list[Row] = field(default_factory=list)
    overview: list[Row] = field(default_factory=list)
    progressions: list[Row] = field(default_factory=list)
    diseases: list[dict[str, Any]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[Row] = field(default_factory=list)
    num_boxes: int = 0
    num_described: int = 0
    num_words: int = 0


def write_patient(out: Path, config: SimulateConfig, patient: int, role: Role) -> PatientFiles:
    """Render and describe every visit of one patient below `out`.

    Images and reports are written; everything that shares a file with other patients returns.
    """
    history = draw_history(config, patient, role)
    files = PatientFiles(patient, role.part)
    files.states = [state_line(state) for state in states_of(config, history)]
    files.pairs = pair_rows(config, history)
    earlier: Visit | None = None
    for exposure in history.exposures:
        _write_study(out, config, history, exposure, earlier, files)
        earlier = exposure.visit
    visits = [item.visit for item in history.exposures]
    files.progressions = progression_rows(visits, role.part, config.seed)
    for reference, main in history.pairs:
        view = main.acquisition.view
        for item in pair_questions(reference.visit, main.visit, view, seed=config.seed):
            files.questions.append(
                (
                    study_number(config.seed, patient, main.visit.index),
                    subject_number(config.seed, patient),
                    study_number(config.seed, patient, reference.visit.index),
                    item.category,
                    item.question,
                    item.answer,
                    SPLIT_QUESTION[role.part],
                )
            )
    return files


def study_report(
    config: SimulateConfig, history: History, visit: Visit, earlier: Visit | None
) -> Report:
    """The report of one visit of a patient; needs no image."""
    return write_report(
        visit,
        history.exposures[visit.index].acquisition.view,
        seed=config.seed,
        person=history.person,
        earlier=earlier,
        priors=config.priors,
        is_unseen=history.role.tail == "paraphrase",
    )


def _write_study(
    out: Path,
    config: SimulateConfig,
    history: History,
    exposure: Exposure,
    earlier: Visit | None,
    files: PatientFiles,
) -> None:
    seed, patient, person = config.seed, history.patient, history.person
    visit, acquisition = exposure.visit, exposure.acquisition
    rendered = render(person, visit, acquisition, config.size)
    height, width = rendered.image.shape
    source = GraphSource(
        dicom_id=dicom_name(seed, patient, visit.index),
        subject_id=subject_number(seed, patient),
        study_id=study_number(seed, patient, visit.index),
        view=acquisition.view,
        sex=person.sex,
        age=person.age,
        order=visit.index + 1,
        taken_at=visit.taken_at,
        width=width,
        height=height,
        boxes=rendered.boxes,
        report=study_report(config, history, visit, earlier),
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


def _image_path(out: Path, kind: str, source: GraphSource) -> Path:
    """An image, `jpg` beside the tables or `dcm` beside the reports; its folder is made."""
    root = out / ("mimic-cxr-jpg" if kind == "jpg" else "mimic-cxr")
    folder = root / study_folder(source.subject_id, source.study_id)
    folder.mkdir(parents=True, exist_ok=True)  # a run that was killed left some
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
    files.graphs.append((dicom, json.dumps(graph)))
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
