"""A simulated CheXpert Plus: the table of 27 columns and PNGs whose paths end in .jpg there.

OUT/df_chexpert_plus_240401.csv
OUT/PNG/train/patient00001/study1/view1_frontal.png

As in the release: lateral rows, a second frontal image whose report has other dates, sections that
are empty or "nan", no test part, the order by `patient_report_date_order`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lapse.core.progress import Progress, no_progress
from lapse.core.seeding import derive_index
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.release_films import report_of, write_png
from lapse.phantom.dataset.release_tree import Cell, SimulatedFilm, simulated_patients, write_csv
from lapse.phantom.patients.state import Visit

TABLE = "df_chexpert_plus_240401.csv"
HEADER = (
    "path_to_image", "path_to_dcm", "frontal_lateral", "ap_pa", "deid_patient_id",
    "patient_report_date_order", "report", "section_narrative", "section_clinical_history",
    "section_history", "section_comparison", "section_technique", "section_procedure_comments",
    "section_findings", "section_impression", "section_end_of_impression", "section_summary",
    "section_accession_number", "age", "sex", "race", "ethnicity", "interpreter_needed",
    "insurance_type", "recent_bmi", "deceased", "split",
)  # fmt: skip
FOLDER = "PNG"
KEY = "phantom/chexpert"


def write_chexpert_plus_tree(
    out: Path, config: SimulateConfig, progress: Progress = no_progress
) -> None:
    """Write the tree.

    Raises:
        ValueError: the folder has files in it, or an option is out of range.
    """
    rows: list[tuple[Cell, ...]] = []
    for films in simulated_patients(out, config, progress):
        for film in films:
            rows += _rows(config, film, out)
    write_csv(out / TABLE, ",".join(HEADER), rows)


def patient_name(visit: Visit) -> str:
    """The name of the folder of a patient."""
    return f"patient{visit.patient + 1:05d}"


def report_sections(config: SimulateConfig, film: SimulatedFilm) -> tuple[str, str]:
    """Findings and impression of a film."""
    findings = " ".join(statement.text for statement in report_of(config, film).statements)
    names = ", ".join(item.name for item in film.exposure.visit.findings[:2])
    return findings, f"{names.capitalize()}." if names else ""


def _rows(config: SimulateConfig, film: SimulatedFilm, out: Path) -> Iterator[tuple[Cell, ...]]:
    """The frontal image, sometimes a second one and a lateral one."""
    visit, person = film.exposure.visit, film.history.person
    key = (config.seed, KEY, visit.patient, visit.index)
    views = ["frontal", *(["frontal"] if not derive_index(6, *key, "second") else [])]
    views += ["lateral"] if not derive_index(3, *key, "lateral") else []
    part = "train" if film.history.role.split == "train" else "valid"
    findings, impression = report_sections(config, film)
    for number, view in enumerate(views, start=1):
        stem = f"{part}/{patient_name(visit)}/study{visit.index + 1}/view{number}_{view}"
        pixels = film.rendered.image if number == 1 else film.rendered.image[:, ::-1]
        write_png(out / FOLDER / f"{stem}.png", pixels)
        dated = f"Compared to 1/{number}/2010. {findings}"
        yield (
            f"{stem}.jpg", f"{stem}.dcm", view.capitalize(),
            film.exposure.acquisition.view if view == "frontal" else "", patient_name(visit),
            visit.index + 1, dated, "", "Cough.", "", "", "", "", dated, impression or "nan", "",
            "", "", film.age, "Female" if person.sex == "F" else "Male",
            "Unknown", "Unknown", "No", "Unknown", "", "No", part,
        )  # fmt: skip
