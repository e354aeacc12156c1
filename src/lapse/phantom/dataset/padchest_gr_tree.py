"""A simulated PadChest-GR: sentences with boxes of two readers, progressions, zips cut by bytes.

OUT/grounded_reports_20240819.json
OUT/master_table.csv.zip                      one row per study and label
OUT/Padchest_GR_files/PadChest_GR.zip.001     and further parts: the PNGs of 16 bits
OUT/PadChest_GR_progression_prior_studies/PadChest_GR_progression_prior_studies.zip.001

The last visit of each patient is the study; the one before it is the prior study of two patients in
three. A sentence without a finding lacks boxes, labels and locations.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from lapse.core.files import write_text
from lapse.core.progress import Progress, no_progress
from lapse.core.seeding import derive_index, derive_uniform
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.padchest_tree import KEY, NAMES, OUTSIDE, patient_id, study_id
from lapse.phantom.dataset.release_films import pixels16, report_of
from lapse.phantom.dataset.release_tree import Cell, SimulatedFilm, simulated_patients, write_csv
from lapse.phantom.patients.findings import progression
from lapse.phantom.patients.state import Visit
from lapse.phantom.rendering.boxes import FractionBox
from lapse.phantom.text.phrases import Statement

REPORTS, MASTER = "grounded_reports_20240819.json", "master_table.csv"
IMAGES, PRIORS = "PadChest_GR", "PadChest_GR_progression_prior_studies"
IMAGE_FOLDER = "Padchest_GR_files"
NUM_PARTS = 3
HEADER = (
    "StudyID", "ImageID", "label", "boxes_count", "extra_boxes_count", "locations", "prior_study",
    "progression_status", "prior_imageID", "sentence_en", "sentence_es", "study_is_benchmark",
    "study_is_validation", "split", "PatientID", "patient_is_benchmark", "PatientBirth",
    "PatientSex_DICOM", "StudyDate_DICOM", "StudyDate", "PatientAge", "label_group", "Year",
)  # fmt: skip
SPLIT_WORDS = {"train": "train", "validate": "validation", "test": "test"}
PROGRESSIONS = {"improving": "improved", "stable": "stable", "worsening": "worsened", "": None}
SPANISH = {
    "pleural effusion": "derrame pleural",
    "atelectasis": "atelectasia",
    "cardiomegaly": "cardiomegalia",
    "pneumothorax": "neumotórax",
    "pneumonia": "neumonía",
    "consolidation": "consolidación",
    "edema": "edema pulmonar",
    "lung opacity": "opacidad pulmonar",
    "fracture": "fractura costal",
    "hernia": "hernia de hiato",
    "emphysema": "enfisema",
    "scoliosis": "escoliosis",
}
_STAMP = (1980, 1, 1, 0, 0, 0)  # so that equal content gives equal bytes


def write_padchest_gr_tree(
    out: Path, config: SimulateConfig, progress: Progress = no_progress
) -> None:
    """Write the tree.

    Raises:
        ValueError: the folder has files in it, or an option is out of range.
    """
    studies: list[dict[str, Any]] = []
    rows: list[tuple[Cell, ...]] = []
    images: dict[str, bytes] = {}
    priors: dict[str, bytes] = {}
    for films in simulated_patients(out, config, progress):
        film = films[-1]
        prior = films[-2] if len(films) > 1 and films[0].history.patient % 3 else None
        study = _study(config, film, prior)
        studies.append(study)
        rows += _master_rows(config.seed, film, study)
        images[f"{IMAGES}/{study['ImageID']}"] = _png(film)
        if prior is not None:
            priors[f"{PRIORS}/{study['PreviousImageID']}"] = _png(prior)
    write_text(out / REPORTS, json.dumps(studies, ensure_ascii=False, indent=1) + "\n")
    write_csv(out / MASTER, ",".join(HEADER), rows)
    _pack(out / f"{MASTER}.zip", {MASTER: (out / MASTER).read_bytes()}, 1)
    (out / MASTER).unlink()
    _pack(out / IMAGE_FOLDER / f"{IMAGES}.zip", images, NUM_PARTS)
    _pack(out / PRIORS / f"{PRIORS}.zip", priors, NUM_PARTS)


def image_id(seed: int, visit: Visit) -> str:
    """The name of an image file."""
    study = study_id(seed, visit.patient, visit.index)
    return f"{study}_{derive_index(10**6, seed, KEY, study):06d}.png"


def _study(
    config: SimulateConfig, film: SimulatedFilm, prior: SimulatedFilm | None
) -> dict[str, Any]:
    seed, visit = config.seed, film.exposure.visit
    before = prior.exposure.visit if prior else None
    return {
        "StudyID": study_id(seed, visit.patient, visit.index),
        "ImageID": image_id(seed, visit),
        "PreviousStudyID": study_id(seed, before.patient, before.index) if before else None,
        "PreviousImageID": image_id(seed, before) if before else None,
        "findings": list(_sentences(config, film, prior)),
    }


def _sentences(
    config: SimulateConfig, film: SimulatedFilm, prior: SimulatedFilm | None
) -> Iterator[dict[str, Any]]:
    """The sentences of the report; each finding is labelled in the first that affirms it."""
    for number, statement in enumerate(report_of(config, film).statements):
        texts = {"sentence_en": statement.text, "sentence_es": _spanish(statement)}
        finding = statement.finding
        if not finding:
            yield {**texts, "abnormal": False, "progression": None}
            continue
        boxes = _boxes(film, statement)
        key = (config.seed, KEY, film.exposure.visit.patient, film.exposure.visit.index, number)
        second = [_moved(box, *key) for box in boxes] if not derive_index(3, *key, "second") else []
        yield {
            **texts,
            "abnormal": True,
            "boxes": [list(box) for box in boxes],
            "extra_boxes": [list(box) for box in second],
            "labels": [NAMES[finding][0] if finding in NAMES else OUTSIDE.get(finding, finding)],
            "locations": _locations(film, statement, *key),
            "progression": _progression(film, prior, finding),
        }


def _spanish(statement: Statement) -> str:
    names = [SPANISH.get(name, name) for name in (statement.finding, *statement.denied) if name]
    if statement.finding:
        return f"Se observa {names[0]}."
    return f"Sin {' ni '.join(names)}." if names else "Dispositivo."


def _boxes(film: SimulatedFilm, statement: Statement) -> list[FractionBox]:
    """The boxes of at most two regions that the sentence describes, else of both lungs."""
    known = film.rendered.boxes
    names = [region for region, _ in statement.regions if region in known][:2]
    names = names or [name for name in ("right lung", "left lung") if name in known]
    return [tuple(round(value, 5) for value in known[name]) for name in names]  # type: ignore[misc]


def _moved(box: FractionBox, *key: str | int) -> FractionBox:
    """The box as a second reader draws it: up to a tenth of its size away."""
    x_min, y_min, x_max, y_max = box
    dx = (derive_uniform(*key, "x") - 0.5) * 0.2 * (x_max - x_min)
    dy = (derive_uniform(*key, "y") - 0.5) * 0.2 * (y_max - y_min)
    corners = (x_min + dx, y_min + dy, x_max + dx, y_max + dy)
    a, b, c, d = (round(min(1.0, max(0.0, value)), 5) for value in corners)
    return a, b, c, d


def _locations(film: SimulatedFilm, statement: Statement, *key: str | int) -> list[str]:
    """Names of regions, or the words that PadChest has for places."""
    if derive_index(2, *key, "location"):
        return ["basal", "right"]
    return [region for region, _ in statement.regions if region in film.rendered.boxes][:1]


def _progression(film: SimulatedFilm, prior: SimulatedFilm | None, finding: str) -> str | None:
    if prior is None:
        return None
    return PROGRESSIONS[progression(prior.exposure.visit, film.exposure.visit, finding)]


def _master_rows(
    seed: int, film: SimulatedFilm, study: dict[str, Any]
) -> Iterator[tuple[Cell, ...]]:
    """One row per label of a study; "Normal" where there is none."""
    visit = film.exposure.visit
    labelled = [item for item in study["findings"] if item["abnormal"]]
    for item in labelled or [{"labels": ["Normal"]}]:
        for label in item["labels"]:
            yield (
                study["StudyID"], study["ImageID"], label, len(item.get("boxes", ())),
                len(item.get("extra_boxes", ())), str(item.get("locations", "")),
                study["PreviousStudyID"] is not None, item.get("progression") or "",
                study["PreviousImageID"] or "", item.get("sentence_en", ""),
                item.get("sentence_es", ""), True, False, SPLIT_WORDS[film.history.role.split],
                patient_id(seed, visit.patient), True, 1950, film.history.person.sex,
                f"{visit.taken_at:%Y%m%d}", f"{visit.taken_at:%Y-%m-%d}", film.history.person.age,
                label, visit.taken_at.year,
            )  # fmt: skip


def _png(film: SimulatedFilm) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels16(film)).save(stream, "PNG")
    return stream.getvalue()


def _pack(path: Path, members: dict[str, bytes], num_parts: int) -> None:
    """Write a zip, cut by bytes into parts if there is more than one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number, (name, data) in enumerate(members.items()):
            kind = zipfile.ZIP_STORED if number % 4 else zipfile.ZIP_DEFLATED  # both occur
            archive.writestr(zipfile.ZipInfo(name, _STAMP), data, kind)
    content = stream.getvalue()
    if num_parts == 1:
        path.write_bytes(content)
        return
    size = -(-len(content) // num_parts)
    for number in range(num_parts):
        part = path.with_name(f"{path.name}.{number + 1:03d}")
        part.write_bytes(content[number * size : (number + 1) * size])
