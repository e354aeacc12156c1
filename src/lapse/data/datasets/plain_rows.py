"""The cells of a table of own films: one row per image, read and checked.

    patient, study, image     required; the image is a path below the folder of images
    date, order               one of them per patient; ISO dates, or integers that grow with time
    view, split, prior        optional; PA or AP, train / validate / test, an earlier study
    report, or report:findings and report:impression
    findings                  "pleural effusion=small|cardiomegaly", "none", or empty: not labelled

Every error names the row as a spreadsheet counts it (the header is row 1), the column, the value
and what to write instead.
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from lapse.core.grammar import ALIASES, FINDINGS, LEVELS
from lapse.core.types import nearest
from lapse.data.io.csv_tables import SPLIT_NAMES
from lapse.data.reports.sections import join_sections, report_text

REQUIRED = ("patient", "study", "image")
TIMES = ("date", "order")
SECTIONS = ("report:findings", "report:impression")
OPTIONAL = ("view", "findings", "report", *SECTIONS, "prior", "split")
UNUSED = ("modality",)  # written by `lapse index`
BOX_REQUIRED = ("image", "region", "x_min", "y_min", "x_max", "y_max")
BOX_COLUMNS = (*BOX_REQUIRED, "phrase")
NO_FINDING = "none"
MAX_CELL = 1024 * 1024  # characters of one cell
_DAMAGED_NUMBER = re.compile(r"\d(\.\d+)?[eE]\+\d+")
_INTEGER = re.compile(r"[+-]?\d{1,15}(\.0+)?")
_NOT_ISO = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}")
_NORMAL = {"no finding", "no findings", "normal", "nothing", "negative", "clear", "nan", "n/a", "-"}
_NAMES = {**{name: name for name in FINDINGS}, **ALIASES}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cells:
    """One row of a table: its number in a spreadsheet, and the text of each column."""

    table: str
    row: int
    texts: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.texts.get(column, "")

    def error(self, column: str, problem: str, value: str | None = None) -> ValueError:
        """An error that names table, row, column and value; `problem` ends with the fix."""
        value = self[column] if value is None else value
        return ValueError(f"{self.table} row {self.row}, column {column!r}: {value!r} {problem}")


@dataclass(frozen=True, slots=True)
class FilmRow:
    """One image of the table.

    Attributes:
        cells: the row, for errors.
        findings: finding -> level or "", {} for "none", None if the study is not labelled.
        report: None if the table has no column for reports.
    """

    cells: Cells
    patient: str
    study: str
    image: str
    date: datetime | None
    order: int | None
    view: str
    split: str
    prior: str
    findings: dict[str, str] | None
    report: str | None


@dataclass(frozen=True, slots=True)
class BoxRow:
    """One box: corners in pixels of the image, origin at the top left."""

    cells: Cells
    image: str
    region: str
    phrase: str
    corners: tuple[float, float, float, float]


def read_films(path: Path) -> list[FilmRow]:
    """The rows of the table of films.

    Raises:
        ValueError: a column is missing, or a cell cannot be read.
    """
    columns, rows = _read(path, REQUIRED, (*TIMES, *OPTIONAL, *UNUSED))
    if not set(TIMES) & set(columns):
        raise ValueError(
            f"{path.name} has neither a column 'date' nor 'order': add dates (2024-03-01), or the "
            "order of each patient's studies as 1, 2, 3"
        )
    if "report" in columns and set(SECTIONS) & set(columns):
        raise ValueError(
            f"{path.name} has the column 'report' and a column of sections: keep either 'report' "
            "or 'report:findings' and 'report:impression'"
        )
    has_report = bool({"report", *SECTIONS} & set(columns))
    films = [_film(cells, has_report=has_report) for cells in rows]
    if not films:
        raise ValueError(f"{path.name} has no row below its header: add one row per image")
    return films


def read_boxes(path: Path) -> list[BoxRow]:
    """The rows of the table of boxes.

    Raises:
        ValueError: a column is missing, or a cell cannot be read.
    """
    _, rows = _read(path, BOX_REQUIRED, ("phrase",))
    return [_box(cells) for cells in rows]


def _film(cells: Cells, *, has_report: bool) -> FilmRow:
    return FilmRow(
        cells=cells,
        patient=_identifier(cells, "patient"),
        study=_identifier(cells, "study"),
        image=_image(cells),
        date=_date(cells),
        order=_order(cells),
        view=cells["view"],
        split=_split(cells),
        prior=cells["prior"],
        findings=_findings(cells),
        report=_report(cells) if has_report else None,
    )


def _box(cells: Cells) -> BoxRow:
    region = cells["region"]
    if not region:
        raise cells.error("region", "is empty: name the region or the finding, such as 'carina'")
    if set(region) & set("/#"):
        raise cells.error("region", "has '/' or '#': write the name without them")
    corners = tuple(_number(cells, column) for column in BOX_REQUIRED[2:])
    x_min, y_min, x_max, y_max = corners
    if max(corners) <= 1:
        raise cells.error("x_max", "is a fraction: write the corners in pixels of the image")
    for low, high, column in ((x_min, x_max, "x_max"), (y_min, y_max, "y_max")):
        if high <= low:
            raise cells.error(
                column,
                f"is not above {low:g}: write the corners x_min, y_min, x_max, y_max in pixels "
                "(not width and height)",
            )
    return BoxRow(cells, _image(cells), region, cells["phrase"], (x_min, y_min, x_max, y_max))


def _read(
    path: Path, required: Sequence[str], optional: Sequence[str]
) -> tuple[list[str], list[Cells]]:
    """The columns and the rows; blank rows are left out."""
    if path.suffix.lower() in {".xlsx", ".xls", ".ods"}:
        raise ValueError(f"{path.name} is a spreadsheet: save it as 'CSV UTF-8' and give that file")
    process_limit = csv.field_size_limit(MAX_CELL)  # the limit is shared by all readers
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = stream.readline()
            delimiter = ";" if header.count(";") > header.count(",") else ","
            stream.seek(0)
            rows = list(csv.reader(stream, delimiter=delimiter, strict=True))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not UTF-8 ({error}): save it as 'CSV UTF-8'") from error
    except csv.Error as error:
        raise ValueError(f"{path.name} is not a valid CSV ({error}): save it again") from error
    finally:
        csv.field_size_limit(process_limit)
    columns = [name.strip() for name in rows[0]] if rows else []
    _check_columns(path.name, columns, required, optional)
    return columns, list(_cells(path.name, columns, rows))


def _cells(table: str, columns: list[str], rows: list[list[str]]) -> Iterator[Cells]:
    for row, texts in enumerate(rows[1:], start=2):
        if not any(text.strip() for text in texts):
            continue
        if len(texts) != len(columns):
            raise ValueError(
                f"{table} row {row} has {len(texts)} cells and the header {len(columns)}: put "
                "quotation marks around texts that contain the separator"
            )
        yield Cells(table, row, {c: t.strip() for c, t in zip(columns, texts, strict=True)})


def _check_columns(
    table: str, columns: list[str], required: Sequence[str], optional: Sequence[str]
) -> None:
    known = (*required, *optional)
    for name in required:
        if name not in columns:
            raise ValueError(
                f"{table} has no column {name!r}; it has {', '.join(columns) or 'none'}: name the "
                "columns as `lapse init-data` writes them"
            )
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise ValueError(f"{table} has two columns {repeated[0]!r}: keep one of them")
    for name in columns:
        if name not in known:
            logger.warning("%s: column %r is not used; %s", table, name, nearest(name, known))


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


def _image(cells: Cells) -> str:
    text = cells["image"]
    if not text:
        raise cells.error("image", "is empty: write the path below the folder of images")
    path = PurePosixPath(text)
    if "\\" in text:
        raise cells.error("image", "has '\\': write '/' between folders")
    if path.is_absolute() or ".." in path.parts:
        raise cells.error("image", "is outside the folder of images: write the path below it")
    return path.as_posix()


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


def _split(cells: Cells) -> str:
    text = cells["split"]
    split = SPLIT_NAMES.get(text.lower(), "")
    if text and not split:
        raise cells.error("split", "is not a split: write train, validate or test")
    return split


def _findings(cells: Cells) -> dict[str, str] | None:
    text = cells["findings"]
    if not text:
        return None
    if text.lower() == NO_FINDING:
        return {}
    if text.lower() in _NORMAL:
        raise cells.error(
            "findings",
            f"is not a finding: write {NO_FINDING!r} for a study without findings, or leave the "
            "cell empty if the study was not labelled",
        )
    findings: dict[str, str] = {}
    for part in text.split("|"):
        name, _, level = (" ".join(word.lower().split()) for word in part.partition("="))
        if name not in _NAMES:
            raise cells.error(
                "findings", f"is not a known finding; {nearest(name, tuple(_NAMES))}", name
            )
        if level and level not in LEVELS:
            raise cells.error(
                "findings", f"is not a known level; {nearest(level, LEVELS)}", part.strip()
            )
        if "=" in part and not level:
            raise cells.error("findings", "has no level after '=': remove the '='", part.strip())
        if _NAMES[name] in findings:
            raise cells.error("findings", f"names {_NAMES[name]!r} twice: name it once")
        findings[_NAMES[name]] = level
    return findings


def _report(cells: Cells) -> str:
    """Findings and impression in one line; a report without headers is used as it is."""
    if "report" not in cells.texts:
        return join_sections({name.partition(":")[2]: cells[name] for name in SECTIONS})
    text = cells["report"]
    # a header is recognized after a line break and one blank, as in MIMIC-CXR
    lines = "\n".join(f" {line.strip()}" for line in text.splitlines())
    return report_text(lines) or " ".join(text.split())


def _number(cells: Cells, column: str) -> float:
    try:
        value = float(cells[column])
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise cells.error(column, "is not a pixel coordinate: write a number from 0 on")
    return value
