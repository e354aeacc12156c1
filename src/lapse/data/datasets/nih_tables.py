"""The tables of NIH ChestX-ray14: entries of images, and boxes of findings.

Data_Entry_2017_v2020.csv numbers the films of a patient in time (`Follow-up #`). The table of 2017
has the same columns and numbers them as the file names do, which is not their order: 10.6% of the
pairs of neighbours would be other pairs, and 4,424 of them run backwards. Copies are distinguished
by their content, as the name of the file says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from lapse.data.datasets.plain_boxes import BoxRow
from lapse.data.datasets.plain_cells import Cells
from lapse.data.datasets.plain_rows import FilmRow
from lapse.data.io.csv_tables import read_rows

ENTRY_COLUMNS = (
    "Image Index",
    "Finding Labels",
    "Follow-up #",
    "Patient ID",
    "Patient Age",
    "View Position",
)
BOX_COLUMNS = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]")
EXPERT_COLUMNS = ("Pneumothorax", "Airspace opacity", "Nodule or mass")  # of Google's readers
SIDE = 1024  # pixels of every image of the release, in which the boxes are given
MAX_AGE = 100  # years; ages of the table of 2017 reach 155
_IMAGE = re.compile(r"0*(\d+)_(\d+)\.png")
_SPELLED = {"Infiltrate": "Infiltration"}  # the table of boxes -> the table of entries


@dataclass(frozen=True, slots=True)
class Entry(FilmRow):
    """One image of the table: `id` is its name, `order` its `Follow-up #`; every image is a study.

    Attributes:
        labels: as in the table.
        age: of the patient, in years.
        number: that of its file name.
    """

    labels: tuple[str, ...] = ()
    age: int = 0
    number: int = 0


def read_entries(path: Path) -> list[Entry]:
    """The rows of the table of entries, in its order.

    Raises:
        ValueError: a column is missing, or a row cannot be read.
    """
    labels: dict[str, tuple[str, ...]] = {}  # shared: most rows repeat a few
    entries = []
    for line, row in enumerate(read_rows(path, ENTRY_COLUMNS), start=2):
        image, text, follow_up, patient, age, view = (cell.strip() for cell in row)
        cells = Cells(path.name, line, {}, "line")
        name = _IMAGE.fullmatch(image)
        numbers = (follow_up, patient, age.removesuffix("Y"))
        if name is None or not all(number.isdecimal() for number in numbers):
            raise ValueError(
                f"{cells.name}: {image!r} of patient {patient!r}, follow-up "
                f"{follow_up!r}, age {age!r} cannot be read: fetch the table again, and do not "
                "save it from a spreadsheet"
            )
        if int(name[1]) != int(patient):
            raise ValueError(
                f"{cells.name}: {image} is not a file of patient {patient}: fetch the table again"
            )
        patient = str(int(patient))
        entries.append(
            Entry(
                cells=cells,
                patient=patient,
                study=f"{patient}_{int(follow_up)}",
                image=f"images/{image}",
                order=int(follow_up),
                view=view,
                id=image,
                labels=labels.setdefault(text, tuple(part.strip() for part in text.split("|"))),
                age=int(numbers[2]),
                number=int(name[2]),
            )
        )
    return entries


def read_boxes(path: Path) -> list[BoxRow]:
    """The boxes of findings, in pixels of the 1024 x 1024 image.

    `BoxRow.image` is the name of the image and `BoxRow.region` the label, as in the table of
    entries. The header of the release has nine fields and its rows six.

    Raises:
        ValueError: a column is missing, or a row cannot be read.
    """
    boxes = []
    for line, row in enumerate(read_rows(path, BOX_COLUMNS, width=len(BOX_COLUMNS)), start=2):
        image, label, *texts = (cell.strip() for cell in row)
        try:
            x, y, width, height = map(float, texts)
        except ValueError:
            raise ValueError(
                f"{path.name} line {line}: the box {', '.join(texts)} is not four numbers: fetch "
                "the table again"
            ) from None
        corners = (x, y, x + width, y + height)
        cells = Cells(path.name, line, {"image": image}, "line")
        name = _SPELLED.get(label, label)
        boxes.append(BoxRow(cells, image, name, "", corners, (SIDE, SIDE)))
    return boxes


def order_problem(entries: Sequence[Entry]) -> str:
    """Why `Follow-up #` is not the order in time, "" if it is."""
    if _has_file_numbers(entries):
        return (
            "numbers the films as in 2017 (Follow-up # equals the number in the file name in every "
            "row)"
        )
    old = next((entry for entry in entries if entry.age > MAX_AGE), None)
    if old is not None:
        return f"has an age of {old.age} years in line {old.cells.row}, as the table of 2017"
    for before, after in _age_falls(entries):
        return (
            f"gives patient {before.patient} the age {before.age} at follow-up {before.order} "
            f"and {after.age} at follow-up {after.order}"
        )
    return ""


def order_defects(path: Path, entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """(code, id) of a table whose numbers are not the order in time."""
    if _has_file_numbers(entries) or any(entry.age > MAX_AGE for entry in entries):
        yield "nih-2017-numbers", path.name
    for before, after in _age_falls(entries):
        yield "age-falls", f"{before.patient}: {before.id}, {after.id}"


def _has_file_numbers(entries: Sequence[Entry]) -> bool:
    """Whether every number is that of the file, and a patient has two films."""
    has_series = any(entry.order for entry in entries)
    return has_series and all(entry.order == entry.number for entry in entries)


def _age_falls(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Neighbours of which the later has a lower age."""
    return ((before, after) for before, after in neighbours(entries) if after.age < before.age)


def neighbours(entries: Iterable[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """The films of each patient that follow each other by `Follow-up #`."""
    ordered = sorted(entries, key=lambda entry: (entry.patient, entry.order or 0))
    return (pair for pair in pairwise(ordered) if pair[0].patient == pair[1].patient)
