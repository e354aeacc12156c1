"""One simulated patient: images and reports on disk, table rows and scene graphs in memory.

    visits -> acquisition -> render -> JPEG          (mimic-cxr-jpg)
                                    -> DICOM         (mimic-cxr)
           -> report -> text file                    (mimic-cxr)
           -> scene graph                            (chest-imagenome)
           -> questions about pairs                  (medical-diff-vqa)
           -> ground truth of every study and pair   (phantom)

This can run in any process, because everything is derived from (config, patient, role).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from lapse.core.annotation_names import CHEXPERT_LABELS, REGIONS
from lapse.phantom.dataset.cohort import CohortRole
from lapse.phantom.dataset.dicom_file import draw_form, jpeg_image, stored_values, write_dicom
from lapse.phantom.dataset.gold import gold_rows
from lapse.phantom.dataset.history import Exposure, History, draw_history
from lapse.phantom.dataset.ms_cxr_t import progression_rows
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.scene_graph import ImageRecord, scene_graph
from lapse.phantom.dataset.tables import SPLIT_TABLES, TABLES
from lapse.phantom.dataset.truth import pair_rows, state_record, study_states
from lapse.phantom.patients.identity import dicom_name, study_folder, study_number, subject_number
from lapse.phantom.patients.state import Visit
from lapse.phantom.rendering.render import Rendered, render
from lapse.phantom.text.comparisons import compare
from lapse.phantom.text.questions import entities, pair_questions
from lapse.phantom.text.report import Report, write_report

Row = tuple[str | int | float, ...]

JPEG_QUALITY = 95
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
# split of MIMIC-CXR -> word of Medical-Diff-VQA
SPLIT_QUESTION = {"train": "train", "validate": "val", "test": "test"}


@dataclass(slots=True)
class PatientFiles:
    """What one patient adds to the files that all patients share, and one count for the summary.

    Rows contain only strings and numbers, and scene graphs are JSON text, so a round trip through
    the file of a block (lapse.phantom.dataset.resume_blocks) leaves them unchanged.

    Attributes:
        tables: name in `lapse.phantom.dataset.tables.TABLES` -> rows.
        graphs: (dicom_id, JSON text) of the scene graphs.
    """

    patient: int
    split: str
    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})
    graphs: list[tuple[str, str]] = field(default_factory=list)
    diseases: list[dict[str, Any]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    num_described: int = 0  # regions with a box and a phrase


def write_patient(
    out: Path, config: SimulateConfig, patient: int, role: CohortRole
) -> PatientFiles:
    """Write the images and reports of one patient below `out`; return the rows of shared files."""
    history = draw_history(config, patient, role)
    seed = config.seed
    files = PatientFiles(patient, role.split)
    files.states = [state_record(state) for state in study_states(config, history)]
    files.tables["pairs"] = pair_rows(config, history)
    visits = [item.visit for item in history.exposures]
    files.tables["progressions"] = progression_rows(visits, role.split, seed)
    previous: Visit | None = None
    for exposure in history.exposures:
        visit, acquisition = exposure.visit, exposure.acquisition
        rendered = render(history.person, visit, acquisition, config.size)
        record = _image_record(config, history, exposure, previous, rendered)
        path = out / "mimic-cxr" / f"{study_folder(record.subject_id, record.study_id)}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.report.text, encoding="utf-8", newline="\n")
        _write_images(out, config, exposure, rendered, record)
        _add_rows(files, record, visit, "Recumbent" if acquisition.is_supine else "Erect")
        previous = visit
    for reference, main in history.pairs:
        number, ref = (study_number(seed, patient, item.visit.index) for item in (main, reference))
        ids = (number, subject_number(seed, patient), ref)
        view = main.acquisition.view
        for item in pair_questions(reference.visit, main.visit, view, seed=seed):
            words = (item.category, item.question, item.answer, SPLIT_QUESTION[role.split])
            files.tables["questions"].append((*ids, *words))
    return files


def study_report(
    config: SimulateConfig, history: History, visit: Visit, previous: Visit | None
) -> Report:
    """The report of one visit of a patient; needs no image."""
    return write_report(
        visit,
        history.exposures[visit.index].acquisition.view,
        seed=config.seed,
        sex=history.person.sex,
        previous=previous if config.priors else None,
        is_held_out=history.role.ood == "paraphrase",
    )


def _image_record(
    config: SimulateConfig,
    history: History,
    exposure: Exposure,
    previous: Visit | None,
    rendered: Rendered,
) -> ImageRecord:
    seed, patient, visit = config.seed, history.patient, exposure.visit
    height, width = rendered.image.shape
    key = (seed, "phantom/report", patient, visit.index)
    return ImageRecord(
        dicom_id=dicom_name(seed, patient, visit.index),
        subject_id=subject_number(seed, patient),
        study_id=study_number(seed, patient, visit.index),
        view=exposure.acquisition.view,
        sex=history.person.sex,
        age=history.person.age,
        order=visit.index + 1,
        taken_at=visit.taken_at,
        width=width,
        height=height,
        boxes=rendered.boxes,
        report=study_report(config, history, visit, previous),
        comparisons=compare(previous, visit, key) if previous else (),
        previous_dicom=dicom_name(seed, patient, visit.index - 1) if previous else "",
    )


def _write_images(
    out: Path, config: SimulateConfig, exposure: Exposure, rendered: Rendered, record: ImageRecord
) -> None:
    image = rendered.image
    if config.images != "jpeg":
        visit = exposure.visit
        values = stored_values(rendered.tone, exposure.acquisition)
        image = jpeg_image(values)
        form = draw_form(config.seed, visit.patient, visit.index, exposure.acquisition)
        write_dicom(_image_path(out, "dcm", record), values, record, form)
    if config.images != "dicom":
        Image.fromarray(image).save(_image_path(out, "jpg", record), quality=JPEG_QUALITY)


def _image_path(out: Path, suffix: str, record: ImageRecord) -> Path:
    """The path of a JPEG (mimic-cxr-jpg) or DICOM (mimic-cxr); creates its folder."""
    root = out / ("mimic-cxr-jpg" if suffix == "jpg" else "mimic-cxr")
    folder = root / study_folder(record.subject_id, record.study_id)
    folder.mkdir(parents=True, exist_ok=True)  # it may exist from an interrupted run
    return folder / f"{record.dicom_id}.{suffix}"


def _add_rows(files: PatientFiles, record: ImageRecord, visit: Visit, posture: str) -> None:
    dicom, subject, study = record.dicom_id, record.subject_id, record.study_id
    exam, code = _VIEWS[record.view]
    taken_at = record.taken_at
    date = int(f"{taken_at:%Y%m%d}")
    time = float(f"{taken_at:%H%M%S}.{taken_at.microsecond // 1000:03d}")
    size = (record.height, record.width)
    labels: Row = (subject, study, *_labels(visit, record.report))
    path = f"{study_folder(subject, study)}/{dicom}.dcm"
    exposure = (exam, record.view, *size, date, time, exam, code, posture)
    rows: dict[str, Row] = {
        "metadata": (dicom, subject, study, *exposure),
        "split": (dicom, study, subject, files.split),
        "chexpert": labels,
        "negbio": labels,
        SPLIT_TABLES[files.split]: (subject, study, dicom, path, record.view),
        "mimic_all": (*labels, dicom, code, files.split, date, record.order),
    }
    for name, row in rows.items():
        files.tables[name].append(row)
    ids = {"study_id": str(study), "subject_id": str(subject)}
    files.diseases.append(ids | entities(visit, record.report.denied))
    graph = scene_graph(record)
    files.graphs.append((dicom, json.dumps(graph)))
    if files.split == "test":
        for name, added in zip(("gold", "gold_phrases"), gold_rows(graph, *size), strict=True):
            files.tables[name] += added
    described = set(record.report.phrases) & {item["bbox_name"] for item in graph["objects"]}
    files.num_described += sum(name in REGIONS for name in described)


def _labels(visit: Visit, report: Report) -> tuple[str, ...]:
    """The 14 labels: "1.0" affirmed, "0.0" denied, "" not mentioned."""
    affirmed = {_LABEL_OF[item.name] for item in visit.findings if item.name in _LABEL_OF}
    denied = {_LABEL_OF[name] for name in report.denied if name in _LABEL_OF} - affirmed
    if any(device.name != "ecg leads" for device in visit.devices):
        affirmed.add("Support Devices")
    if not visit.findings:
        affirmed.add("No Finding")
    return tuple(
        "1.0" if name in affirmed else "0.0" if name in denied else "" for name in CHEXPERT_LABELS
    )
