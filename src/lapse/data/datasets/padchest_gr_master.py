"""The master table of PadChest-GR, as CSV or packed: the facts of each study.

The table has one row per study and label, not per sentence: only the split, the patient, the date
and the sex are taken from it.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from lapse.data.datasets.padchest import PATIENT, STUDY, read_date, read_id
from lapse.data.datasets.plain_cells import Cells, raise_error
from lapse.data.io.csv_tables import MAX_LINE, SPLIT_NAMES, is_empty

MASTER = "master_table.csv"
MASTER_COLUMNS = ("StudyID", "ImageID", "PatientID", "split", "StudyDate_DICOM", "PatientSex_DICOM")


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What the master table says about a study."""

    line: int
    study: str
    image: str
    patient: str
    split: str
    date: datetime
    sex: str


def find_master(folder: Path) -> Path | None:
    """The master table in a folder, as CSV or packed; None if there is none."""
    names = (MASTER, f"{MASTER}.zip")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_master(
    path: Path, *, on_error: Callable[[ValueError], None] = raise_error
) -> dict[str, StudyFacts]:
    """Study -> its facts; the rows of a study must agree.

    Args:
        path: master_table.csv or master_table.csv.zip.
        on_error: called with the error of a row, which is then left out.

    Raises:
        ValueError: the table is damaged or lacks a column, or a row cannot be read.
    """
    facts: dict[str, StudyFacts] = {}
    for cells in _master_rows(path):
        try:
            row = _facts(cells)
            first = facts.setdefault(row.study, row)
            for name in ("image", "patient", "split", "date"):
                if getattr(first, name) != getattr(row, name):
                    raise ValueError(
                        f"{cells.name}: {name} differs from row {first.line} of study "
                        f"{row.study}: use the original table"
                    )
        except ValueError as error:
            on_error(error)
    return facts


def _facts(cells: Cells) -> StudyFacts:
    split = SPLIT_NAMES.get(cells["split"].lower())
    if split is None:
        raise cells.error("split", "is not train, validation or test: use the original table")
    sex = cells["PatientSex_DICOM"]
    return StudyFacts(
        line=cells.row,
        study=read_id(cells, "StudyID", STUDY),
        image=cells["ImageID"],
        patient=read_id(cells, "PatientID", PATIENT),
        split=split,
        date=read_date(cells, "StudyDate_DICOM"),
        sex="" if is_empty(sex) else sex,
    )


def _master_rows(path: Path) -> Iterator[Cells]:
    with _open_master(path) as stream:
        reader = csv.reader(_short_lines(path, stream), strict=True)
        try:
            header = next(reader, [])
            for name in MASTER_COLUMNS:
                if name not in header:
                    raise ValueError(f"{path} has no column {name!r}: download the table again")
            for row in reader:
                if len(row) != len(header):
                    raise ValueError(
                        f"{path} line {reader.line_num} has {len(row)} fields and the header "
                        f"{len(header)}: download the table again"
                    )
                cells = {name: text.strip() for name, text in zip(header, row, strict=True)}
                yield Cells(path.name, reader.line_num, cells)
        except (csv.Error, UnicodeDecodeError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is damaged ({error}): download the table again") from error


def _short_lines(path: Path, stream: IO[str]) -> Iterator[str]:
    while line := stream.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise ValueError(f"{path} has a line of {MAX_LINE} characters: not the master table")
        yield line


@contextmanager
def _open_master(path: Path) -> Iterator[IO[str]]:
    if path.suffix != ".zip":
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield stream
        return
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{path} is damaged ({error}): download it again") from error
    with archive:
        tables = [
            name
            for name in archive.namelist()
            if name.endswith(".csv") and not name.startswith("__MACOSX")
        ]
        if len(tables) != 1:
            raise ValueError(f"{path} holds {len(tables)} tables instead of one: download it again")
        with archive.open(tables[0]) as raw:
            yield io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
