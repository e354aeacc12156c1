"""The cells of a table that a person filled in: CSV with commas or semicolons, or Parquet.

Every error names the row as a spreadsheet counts it (the header is row 1), the column, the value
and what to write instead.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lapse.core.types import nearest

MAX_CELL = 1024 * 1024  # characters of one cell
FINDING_COLUMN = "finding:"  # followed by the name of a finding
SPREADSHEETS = {".xlsx", ".xls", ".ods"}

Item = TypeVar("Item")
Row = TypeVar("Row")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cells:
    """One row of a table: its number in a spreadsheet, and the text of each column.

    `unit` is "row", or "annotation" for the boxes of a COCO file.
    """

    table: str
    row: int
    texts: dict[str, str]
    unit: str = "row"

    def __getitem__(self, column: str) -> str:
        return self.texts.get(column, "")

    @property
    def name(self) -> str:
        """The row in a message."""
        return f"{self.table} {self.unit} {self.row}"

    def error(self, column: str, problem: str, value: str | None = None) -> ValueError:
        """An error that names table, row, column and value; `problem` ends with the fix."""
        value = self[column] if value is None else value
        return ValueError(f"{self.name}, column {column!r}: {value!r} {problem}")


def raise_error(error: ValueError) -> None:
    """What readers do with the error of a row by default."""
    raise error


def readable(
    items: Iterable[Item], read: Callable[[Item], Row], on_error: Callable[[ValueError], None]
) -> Iterator[Row]:
    """What `read` returns for each item; where it raises a ValueError, that goes to `on_error`."""
    for item in items:
        try:
            row = read(item)
        except ValueError as error:
            on_error(error)
            continue
        yield row


def read_cells(
    path: Path, required: Sequence[str], optional: Sequence[str]
) -> tuple[list[str], list[Cells]]:
    """The columns and the rows; blank rows are left out.

    Args:
        path: a `.csv` or `.parquet` file.
        required: columns that the table must have.
        optional: further columns. Others are warned about, except those of findings.

    Raises:
        ValueError: the file is not such a table, or a column is missing or occurs twice.
    """
    if path.suffix.lower() in SPREADSHEETS:
        raise ValueError(f"{path.name} is a spreadsheet: save it as 'CSV UTF-8' and give that file")
    rows = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    columns = [name.strip() for name in rows[0]] if rows else []
    _check_columns(path.name, columns, required, optional)
    return columns, list(_cells(path.name, columns, rows))


def _read_csv(path: Path) -> list[list[str]]:
    process_limit = csv.field_size_limit(MAX_CELL)  # the limit is shared by all readers
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = stream.readline()
            delimiter = ";" if header.count(";") > header.count(",") else ","
            stream.seek(0)
            return list(csv.reader(stream, delimiter=delimiter, strict=True))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not UTF-8 ({error}): save it as 'CSV UTF-8'") from error
    except csv.Error as error:
        raise ValueError(f"{path.name} is not a valid CSV ({error}): save it again") from error
    finally:
        csv.field_size_limit(process_limit)


def _read_parquet(path: Path) -> list[list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path.name} is not a valid Parquet file: save it again") from error
    columns = [[_text(value) for value in column.to_pylist()] for column in table.columns]
    return [table.column_names, *(list(row) for row in zip(*columns, strict=True))]


def _text(value: object) -> str:
    """A value of a Parquet table as the text that a CSV has."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


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
        if name not in known and not name.lower().startswith(FINDING_COLUMN):
            logger.warning("%s: column %r is not used; %s", table, name, nearest(name, known))
