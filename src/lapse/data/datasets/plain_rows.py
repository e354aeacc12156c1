"""The rows of a table of own films: one row per image, read and checked.

patient, study, image     required; the image is a path below the folder of images
date, order, days         one of them per patient; ISO dates, integers that grow with time, or days
                          from any zero of the patient
view, split, prior        optional; PA or AP, train / validate / test, an earlier study
report, or report:findings and report:impression
findings, or finding:<name>    lapse.data.datasets.plain_findings
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from lapse.data.datasets.plain_boxes import image_cell
from lapse.data.datasets.plain_cells import Cells, raise_error, read_cells, readable
from lapse.data.datasets.plain_findings import COLUMN, FindingReader, StudyFindings
from lapse.data.datasets.plain_info import DatasetInfo
from lapse.data.io.csv_tables import SPLIT_NAMES, is_empty
from lapse.data.reports.sections import join_sections, report_text

REQUIRED = ("patient", "study", "image")
TIMES = ("date", "order", "days")
SECTIONS = ("report:findings", "report:impression")
OPTIONAL = ("view", COLUMN, "report", *SECTIONS, "prior", "split")
UNUSED = ("modality",)  # written by `lapse index`
MAX_DAYS = 100_000  # either side of zero
_DAMAGED_NUMBER = re.compile(r"\d(\.\d+)?[eE]\+\d+")
_INTEGER = re.compile(r"[+-]?\d{1,15}(\.0+)?")
_NOT_ISO = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}")


@dataclass(frozen=True, slots=True)
class FilmRow:
    """One image of the table.

    Attributes:
        findings: None if the study is not labelled.
        report: None if the table has no column for reports.
        days: days from any zero of the patient, growing with time.
        id: the id of the image in the store, "" for the id of its study.
        labeller: who labelled the study, in a release with several; "" if it is one and the same.
    """

    cells: Cells
    patient: str
    study: str
    image: str
    date: datetime | None = None
    order: int | None = None
    view: str = ""
    split: str = ""
    prior: str = ""
    findings: StudyFindings | None = None
    report: str | None = None
    days: float | None = None
    id: str = ""
    labeller: str = ""


def read_films(
    path: Path,
    *,
    info: DatasetInfo | None = None,
    on_error: Callable[[ValueError], None] = raise_error,
) -> list[FilmRow]:
    """The rows of the table of films.

    Args:
        path: CSV or Parquet.
        info: which findings the table may name, and outside the 30 known ones.
        on_error: called with the error of a row, which is then left out.

    Raises:
        ValueError: a column is missing, or a cell cannot be read.
    """
    columns, rows = read_cells(path, REQUIRED, (*TIMES, *OPTIONAL, *UNUSED))
    if not set(TIMES) & set(columns):
        raise ValueError(
            f"{path.name} has neither a column 'date' nor 'order' nor 'days': add dates "
            "(2024-03-01), or the order of each patient's studies as 1, 2, 3"
        )
    if "days" in columns and len(set(TIMES) & set(columns)) > 1:
        raise ValueError(
            f"{path.name} has the column 'days' and 'date' or 'order': keep one of them"
        )
    if "report" in columns and set(SECTIONS) & set(columns):
        raise ValueError(
            f"{path.name} has the column 'report' and a column of sections: keep either 'report' "
            "or 'report:findings' and 'report:impression'"
        )
    has_report = bool({"report", *SECTIONS} & set(columns))
    reader = FindingReader(path.name, columns, info or DatasetInfo())
    if not rows:
        raise ValueError(f"{path.name} has no row below its header: add one row per image")
    return list(readable(rows, partial(_film, reader=reader, has_report=has_report), on_error))


def _film(cells: Cells, *, reader: FindingReader, has_report: bool) -> FilmRow:
    return FilmRow(
        cells=cells,
        patient=_identifier(cells, "patient"),
        study=_identifier(cells, "study"),
        image=image_cell(cells),
        date=_date(cells),
        order=_order(cells),
        view="" if is_empty(cells["view"]) else cells["view"],
        split=_split(cells),
        prior=cells["prior"],
        findings=reader.read(cells),
        report=_report(cells) if has_report else None,
        days=_days(cells),
    )


def _identifier(cells: Cells, column: str) -> str:
    text = cells[column]
    if not text:
        raise cells.error(column, f"is empty: every image needs a {column}")
    if set(text) & set("/#"):
        raise cells.error(column, f"has '/' or '#': write the {column} without them")
    if _DAMAGED_NUMBER.fullmatch(text):
        raise cells.error(
            column, "was changed by a spreadsheet: format the column as text and enter it again"
        )
    return text


def _date(cells: Cells) -> datetime | None:
    text = cells["date"]
    if not text:
        return None
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        hint = " (day/month or month/day is not clear)" if _NOT_ISO.match(text) else ""
        raise cells.error(
            "date", f"is not an ISO date{hint}: write 2024-03-01 or 2024-03-01T07:30"
        ) from None
    if date.tzinfo is not None:
        raise cells.error("date", "has a time zone: write local time, such as 2024-03-01T07:30")
    return date


def _order(cells: Cells) -> int | None:
    text = cells["order"]
    if not text:
        return None
    if not _INTEGER.fullmatch(text):
        raise cells.error("order", "is not an integer: write 1, 2, 3 from the earliest study on")
    return int(text.partition(".")[0])


def _days(cells: Cells) -> float | None:
    text = cells["days"]
    if not text:
        return None
    try:
        days = float(text)
    except ValueError:
        days = math.inf
    if not abs(days) <= MAX_DAYS:
        raise cells.error(
            "days",
            f"is not a number of days up to {MAX_DAYS}: write the days from any zero of the "
            "patient, growing with time, such as 0 and 12.5",
        )
    return days


def _split(cells: Cells) -> str:
    text = cells["split"]
    split = SPLIT_NAMES.get(text.lower(), "")
    if text and not split:
        raise cells.error("split", "is not a split: write train, validate or test")
    return split


def _report(cells: Cells) -> str:
    """Findings and impression in one line; a report without headers is used as it is."""
    if "report" not in cells.texts:
        return join_sections({name.partition(":")[2]: cells[name] for name in SECTIONS})
    text = cells["report"]
    # a header is recognized after a line break and one blank, as in MIMIC-CXR
    lines = "\n".join(f" {line.strip()}" for line in text.splitlines())
    return report_text(lines) or " ".join(text.split())
