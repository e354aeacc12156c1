"""The master table of PadChest-GR, as CSV or packed: the facts of each study.

The table has one row per study and label, not per sentence: only the split, the patient and the
date are taken from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from lapse.data.datasets.padchest import PATIENT, STUDY, read_date, read_id
from lapse.data.datasets.plain_cells import Cells, raise_error
from lapse.data.datasets.release_tables import read_release_rows
from lapse.data.io.csv_tables import SPLIT_NAMES

MASTER = "master_table.csv"
MASTER_COLUMNS = ("StudyID", "ImageID", "PatientID", "split", "StudyDate_DICOM")


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What the master table says about a study."""

    line: int
    study: str
    image: str
    patient: str
    split: str
    date: datetime


def find_master(folder: Path) -> Path | None:
    """The master table in a folder, as CSV or packed; None if there is none."""
    names = (MASTER, f"{MASTER}.zip")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_master(
    path: Path, *, on_error: Callable[[ValueError], None] = raise_error
) -> dict[str, StudyFacts]:
    """Study -> its facts; the rows of a study must agree.

    Args:
        on_error: called with the error of a row, which is then left out.

    Raises:
        ValueError: the table is damaged or lacks a column, or a row cannot be read.
    """
    facts: dict[str, StudyFacts] = {}
    for row in read_release_rows(path, MASTER_COLUMNS, _facts, on_error):
        first = facts.setdefault(row.study, row)
        columns = ("image", "patient", "split", "date")
        if name := next((c for c in columns if getattr(first, c) != getattr(row, c)), ""):
            problem = f"{name} differs from row {first.line} of study {row.study}"
            on_error(ValueError(f"{path.name} row {row.line}: {problem}: use the original table"))
    return facts


def _facts(cells: Cells) -> StudyFacts:
    cells = replace(cells, texts={name: text.strip() for name, text in cells.texts.items()})
    split = SPLIT_NAMES.get(cells["split"].lower())
    if split is None:
        raise cells.error("split", "is not train, validation or test: use the original table")
    return StudyFacts(
        line=cells.row,
        study=read_id(cells, "StudyID", STUDY),
        image=cells["ImageID"],
        patient=read_id(cells, "PatientID", PATIENT),
        split=split,
        date=read_date(cells, "StudyDate_DICOM"),
    )
