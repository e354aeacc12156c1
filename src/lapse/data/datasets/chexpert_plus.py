"""The table of CheXpert Plus: reports of 223,462 images, one typed row per image.

    df_chexpert_plus_240401.csv
        path_to_image, frontal_lateral, ap_pa, deid_patient_id, patient_report_date_order,
        section_findings, section_impression, age, split, ...

`path_to_image` ends in .jpg although the files are PNG. The order of the studies is contested:
`patient_report_date_order` disagrees with dates that others took from the reports, and the reports
of one study can carry different dates, so dates in texts are never read. The images are used with
their reports; `order_conflicts` finds the neighbours whose order, study number and age disagree.
Source: Chambon et al. 2024, arXiv:2405.19538.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from lapse.data.datasets.plain_cells import Cells, raise_error
from lapse.data.datasets.plain_rows import FilmRow
from lapse.data.datasets.release_tables import read_release_rows
from lapse.data.io.csv_tables import SPLIT_NAMES, is_empty
from lapse.data.reports.sections import join_sections

TABLE = "df_chexpert_plus_*"
COLUMNS = (
    "path_to_image",
    "frontal_lateral",
    "ap_pa",
    "deid_patient_id",
    "patient_report_date_order",
    "section_findings",
    "section_impression",
    "age",
    "split",
)
SUFFIXES = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".dcm")
_PATH = re.compile(r"(?:.*/)?(?:train|valid)/(patient\d+)/study(\d+)/[^/]+")
_NUMBER = re.compile(r"\d+(\.0)?")


@dataclass(frozen=True, slots=True)
class CheXpertRow(FilmRow):
    """One image: its `image` is the path in the table, its `order` the number of the study.

    The study has the id "patient00001-study1". `view` is "PA" or "AP", "" for a frontal film
    without one, "lateral" for others. `report` is findings and impression in one line.

    Attributes:
        report_order: order of the report within the patient; None if empty.
        age: in years; None if empty.
    """

    report_order: int | None = None
    age: int | None = None


def study_of_path(path: str) -> tuple[str, int] | None:
    """Patient and study number of an image path of CheXpert, None for another path.

    >>> study_of_path("CheXpert-v1.0-small/train/patient00001/study2/view1_frontal.jpg")
    ('patient00001', 2)
    """
    match = _PATH.fullmatch(path)
    return (match[1], int(match[2])) if match else None


def read_chexpert(
    path: Path, *, on_error: Callable[[ValueError], None] = raise_error
) -> Iterator[CheXpertRow]:
    """The rows of the table, streamed.

    Args:
        on_error: called with the error of a row, which is then left out.

    Raises:
        ValueError: the table is damaged or lacks a column, or a cell cannot be read.
    """
    return read_release_rows(path, COLUMNS, _row, on_error)


def _row(cells: Cells) -> CheXpertRow:
    named = study_of_path(cells["path_to_image"])
    if named is None or ".." in cells["path_to_image"]:
        raise cells.error(
            "path_to_image", "is not train/patient.../study.../...: use the original table"
        )
    patient, number = named
    if cells["deid_patient_id"].strip() not in ("", patient):
        raise cells.error("deid_patient_id", f"differs from {patient} in path_to_image")
    split = SPLIT_NAMES.get(cells["split"].strip().lower())
    if split is None:
        raise cells.error("split", "is not train or valid: use the original table")
    path = cells["path_to_image"]
    sections = ((name, cells[f"section_{name}"]) for name in ("findings", "impression"))
    return CheXpertRow(
        cells=Cells(cells.table, cells.row, {"image": path}),
        patient=patient,
        study=f"{patient}-study{number}",
        image=path,
        order=number,
        view=_view(cells),
        split=split,
        id=path.replace("/", "-"),
        report_order=_number(cells, "patient_report_date_order"),
        age=_number(cells, "age"),
        report=join_sections({name: text for name, text in sections if not is_empty(text)}),
    )


def _view(cells: Cells) -> str:
    if cells["frontal_lateral"].strip().lower() != "frontal":
        return "lateral"
    view = cells["ap_pa"].strip().upper()
    return view if view in ("PA", "AP") else ""


def _number(cells: Cells, column: str) -> int | None:
    text = cells[column].strip()
    if is_empty(text):
        return None
    if not _NUMBER.fullmatch(text):
        raise cells.error(column, "is not a number: use the original table")
    return int(text.partition(".")[0])


def image_file(root: Path, path: str) -> Path | None:
    """The file of an image under any ending, None if there is none.

    Args:
        root: the folder that holds `train` and `valid`.
    """
    stem = (root / path).with_suffix("")
    candidates = (root / path, *(stem.with_suffix(suffix) for suffix in SUFFIXES))
    return next((file for file in candidates if file.is_file()), None)


def first_frontals(rows: Iterable[CheXpertRow]) -> dict[str, CheXpertRow]:
    """Study -> its first frontal image.

    Two images of one study may carry differently anonymised reports: this image's is used.
    """
    studies: dict[str, CheXpertRow] = {}
    for row in rows:
        if row.view != "lateral":
            studies.setdefault(row.study, row)
    return studies


def order_conflicts(rows: Iterable[CheXpertRow]) -> list[tuple[CheXpertRow, CheXpertRow]]:
    """Neighbours by study number whose order of reports or age does not grow with it."""
    conflicts = []
    ordered = sorted(first_frontals(rows).values(), key=lambda row: (row.patient, row.order or 0))
    for earlier, later in pairwise(ordered):
        if earlier.patient == later.patient and (
            _falls(earlier.report_order, later.report_order, is_strict=True)
            or _falls(earlier.age, later.age, is_strict=False)
        ):
            conflicts.append((earlier, later))
    return conflicts


def _falls(earlier: int | None, later: int | None, *, is_strict: bool) -> bool:
    if earlier is None or later is None:
        return False
    return later <= earlier if is_strict else later < earlier
