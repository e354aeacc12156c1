"""The table of PadChest (BIMCV, 160,861 images): one typed row per image.

    PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv[.gz]
        ImageID, ImageDir, StudyDate_DICOM, StudyID, PatientID, Projection, MethodLabel, Labels, ...

Ids are texts: patients have 35 to 39 digits, studies 20 to 51 characters that are not all digits. A
program that reads them as numbers destroys them. `Labels` is a printed Python list whose names may
have blanks around them. The reports are stems of Spanish words and are not captions.
Source: Bustos et al. 2020, arXiv:1901.07441.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from lapse.data.datasets.padchest_labels import INCOMPLETE
from lapse.data.datasets.plain_cells import Cells, raise_error
from lapse.data.datasets.plain_rows import FilmRow
from lapse.data.datasets.release_tables import read_release_rows
from lapse.data.io.csv_tables import is_empty

TABLE = "PADCHEST_chest_x_ray_images_labels_160K_*"
COLUMNS = (
    "ImageID",
    "ImageDir",
    "StudyDate_DICOM",
    "StudyID",
    "PatientID",
    "Projection",
    "MethodLabel",
    "Labels",
)
VIEWS = {"PA": "PA", "AP": "AP", "AP_horizontal": "AP"}  # other projections are not frontal
PATIENT = re.compile(r"\d{35,39}")
STUDY = re.compile(r"[\d_-]{20,51}")
_DAMAGED = re.compile(r"\d(\.\d+)?[eE]\+?\d+|\d+\.0")
_DATE = re.compile(r"\d{8}")


@dataclass(frozen=True, slots=True)
class PadChestRow(FilmRow):
    """One image: `id` is the name of its file, `view` is PA, AP, or a projection that is neither.

    Attributes:
        labels: names in the order of the table, without repetitions and empty texts; None if the
            report was not labelled. `labeller` is "Physician" or "RNN_model".
    """

    labels: tuple[str, ...] | None = None

    @property
    def is_frontal(self) -> bool:
        """Whether the film is PA or AP."""
        return self.view in VIEWS.values()

    @property
    def is_comparable(self) -> bool:
        """Whether the labels say all that the report saw.

        A report that says "unchanged" need not repeat the findings of the earlier one.
        """
        return bool(self.labels) and not INCOMPLETE & set(self.labels or ())


def read_padchest(
    path: Path, *, on_error: Callable[[ValueError], None] = raise_error
) -> Iterator[PadChestRow]:
    """The rows of the table, streamed.

    Args:
        path: the table, `.csv` or `.csv.gz`.
        on_error: called with the error of a row, which is then left out.

    Raises:
        ValueError: the table is damaged or lacks a column, or a cell cannot be read.
    """
    return read_release_rows(path, COLUMNS, _row, on_error)


def _row(cells: Cells) -> PadChestRow:
    image = cells["ImageID"]
    if not image or "/" in image or "\\" in image:
        raise cells.error("ImageID", "is not the name of a file: download the table again")
    return PadChestRow(
        cells=Cells(cells.table, cells.row, {}),  # without the texts, for less memory
        patient=read_id(cells, "PatientID", PATIENT),
        study=read_id(cells, "StudyID", STUDY),
        image=f"{cells['ImageDir']}/{image}",
        date=read_date(cells, "StudyDate_DICOM"),
        view=VIEWS.get(cells["Projection"], cells["Projection"]),
        id=image,
        labeller=cells["MethodLabel"],
        labels=_labels(cells),
    )


def read_id(cells: Cells, column: str, form: re.Pattern[str]) -> str:
    """The id in a cell.

    Raises:
        ValueError: it was changed by a program that read it as a number, or has another form.
    """
    text = cells[column]
    if form.fullmatch(text):
        return text
    if _DAMAGED.fullmatch(text):
        raise cells.error(
            column, "was changed by a spreadsheet or a number parser: use the original table"
        )
    raise cells.error(column, f"is not of the form {form.pattern}: use the original table")


def read_date(cells: Cells, column: str) -> datetime:
    """The date in a cell, written as yyyymmdd.

    Raises:
        ValueError: it is not such a date.
    """
    text = cells[column].removesuffix(".0")
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        return datetime.strptime(text, "%Y%m%d")
    except ValueError:
        raise cells.error(column, "is not a date yyyymmdd: use the original table") from None


def _labels(cells: Cells) -> tuple[str, ...] | None:
    if is_empty(cells["Labels"]):
        return None
    try:
        return parse_names(cells["Labels"])
    except ValueError:
        raise cells.error(
            "Labels", "is not a printed list of names: use the original table"
        ) from None


@lru_cache(maxsize=4096)
def parse_names(text: str) -> tuple[str, ...]:
    """The names in a printed Python list, without blanks around them, repetitions and empty names.

    >>> parse_names("[' pleural effusion', 'normal ', '', 'normal']")
    ('pleural effusion', 'normal')

    Raises:
        ValueError: it is not a list of texts.
    """
    try:
        names = ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text[:80]!r} is not a printed list: {error}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{text[:80]!r} is not a printed list of texts")
    plain = dict.fromkeys(" ".join(name.split()) for name in names)
    return tuple(name for name in plain if name)
