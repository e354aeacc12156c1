"""A filled example of a table of own films, with images rendered by the phantom.

FOLDER/template.csv, template-boxes.csv, template-changes.csv    the headers, to fill in
FOLDER/example/films.csv, boxes.csv        simulated patients with findings, reports and boxes
FOLDER/example/dataset.json                name, licence and description
FOLDER/example/images/<patient>/<n>.png    their images
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from lapse.core.files import write_text
from lapse.core.progress import Progress, no_progress
from lapse.core.types import SPLITS
from lapse.phantom.dataset.cohort import CohortRole
from lapse.phantom.dataset.history import Exposure, History, draw_history
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.patient_files import study_report
from lapse.phantom.dataset.release_tree import Cell, require_new_folder, write_csv
from lapse.phantom.dataset.writer import MARK
from lapse.phantom.patients.findings import levels
from lapse.phantom.rendering.render import Rendered, render
from lapse.phantom.text.report import Report

FILM_HEADER = "image,patient,study,date,order,view,split,findings,prior,report"
CHANGE_HEADER = "reference,main,finding,change,before,after"
DATASET = {
    "name": "Example of lapse init-data",
    "licence": "MIT",
    "description": "Simulated images and reports.",
}
BOX_HEADER = "image,region,phrase,x_min,y_min,x_max,y_max"
# validation and test follow, so that four patients have every split
SPLIT_CYCLE = (SPLITS[0], SPLITS[0], SPLITS[1], SPLITS[2])

Row = tuple[Cell, ...]


def write_example(
    out: Path,
    *,
    patients: int = 4,
    seed: int = 0,
    size: int = 256,
    progress: Progress = no_progress,
) -> int:
    """Write the template and the example; returns the number of images.

    Args:
        out: a new or empty folder.
        patients: number of simulated patients, with two or three studies each.
        seed: the same seed gives the same files.
        size: longest side of the images in pixels.
        progress: called with (patients done, all patients).

    Raises:
        ValueError: the folder has files in it, or an option is out of range.
    """
    require_new_folder(out)
    if patients < len(SPLIT_CYCLE):
        raise ValueError(f"{patients} patients: at least {len(SPLIT_CYCLE)}, one for each split")
    config = SimulateConfig(patients=patients, seed=seed, size=size, visits=(2, 3))
    example = out / "example"
    films: list[Row] = []
    boxes: list[Row] = []
    for patient in range(patients):
        split = SPLIT_CYCLE[patient % len(SPLIT_CYCLE)]
        history = draw_history(config, patient, CohortRole(split, "coarse"))
        for exposure in history.exposures:
            visit = exposure.visit
            rendered = render(history.person, visit, exposure.acquisition, size)
            name = f"P{patient + 1:03d}/{visit.index + 1}.png"
            path = example / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rendered.image).save(path)
            report = study_report(config, history, visit, None)
            films.append(_film(name, history, exposure, report.text.strip()))
            boxes += _boxes(name, rendered, report)
        progress(patient + 1, patients)
    write_csv(out / "template.csv", FILM_HEADER, [])
    write_csv(out / "template-boxes.csv", BOX_HEADER, [])
    write_csv(out / "template-changes.csv", CHANGE_HEADER, [])
    write_csv(example / "films.csv", FILM_HEADER, films)
    write_csv(example / "boxes.csv", BOX_HEADER, boxes)
    write_text(example / "dataset.json", f"{json.dumps(DATASET, indent=1)}\n")
    write_text(example / MARK, "Simulated images and reports. No patient is behind them.\n")
    return len(films)


def _film(name: str, history: History, exposure: Exposure, report: str) -> Row:
    visit = exposure.visit
    patient = f"P{history.patient + 1:03d}"
    findings = "|".join(
        f"{finding}={level}" if level else finding for finding, level in levels(visit).items()
    )
    return (
        name, patient, f"{patient}S{visit.index + 1}", f"{visit.taken_at:%Y-%m-%d}",
        visit.index + 1, exposure.acquisition.view, history.role.split, findings or "none", "",
        report,
    )  # fmt: skip


def _boxes(name: str, rendered: Rendered, report: Report) -> Iterator[Row]:
    """The boxes of the described regions in pixels, one row per phrase."""
    height, width = rendered.image.shape
    for region, (x_min, y_min, x_max, y_max) in rendered.boxes.items():
        far = min(width, int(x_max * width) + 1), min(height, int(y_max * height) + 1)
        for phrase in report.phrases.get(region, ()):
            yield name, region, phrase.text, int(x_min * width), int(y_min * height), *far
