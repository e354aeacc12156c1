"""The tables of NIH ChestX-ray14: entries of images, and boxes of findings.

Data_Entry_2017_v2020.csv numbers the films of a patient in time (`Follow-up #`). The table of 2017
has the same columns and numbers them as the file names do, which is not their order: 10.6% of the
pairs of neighbours would be other pairs, and 4,424 of them run backwards. Copies are distinguished
by their content, as the name of the file says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

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
class Entry:
    """One image of the table. `number` is that of its file name."""

    table: str
    line: int
    image: str
    labels: tuple[str, ...]
    follow_up: int
    patient: str
    age: int
    view: str
    number: int

    @property
    def study(self) -> str:
        """The study: every image is one."""
        return f"{self.patient}_{self.follow_up}"

    @property
    def where(self) -> str:
        """The row in a message."""
        return f"{self.table} line {self.line}"


@dataclass(frozen=True, slots=True)
class BoxEntry:
    """One box of a finding: corners in pixels of the 1024 x 1024 image."""

    line: int
    image: str
    label: str
    corners: tuple[float, float, float, float]


def read_entries(path: Path) -> list[Entry]:
    """The rows of the table of entries, in its order.

    Raises:
        ValueError: a column is missing, or a row cannot be read.
    """
    labels: dict[str, tuple[str, ...]] = {}  # shared: most rows repeat a few
    entries = []
    for line, row in enumerate(read_rows(path, ENTRY_COLUMNS), start=2):
        image, text, follow_up, patient, age, view = (cell.strip() for cell in row)
        name = _IMAGE.fullmatch(image)
        numbers = (follow_up, patient, age.removesuffix("Y"))
        if name is None or not all(number.isdecimal() for number in numbers):
            raise ValueError(
                f"{path.name} line {line}: {image!r} of patient {patient!r}, follow-up "
                f"{follow_up!r}, age {age!r} cannot be read: fetch the table again, and do not "
                "save it from a spreadsheet"
            )
        if int(name[1]) != int(patient):
            raise ValueError(
                f"{path.name} line {line}: {image} is not a file of patient {patient}: fetch the "
                "table again"
            )
        shared = labels.setdefault(text, tuple(part.strip() for part in text.split("|")))
        entries.append(
            Entry(
                path.name,
                line,
                image,
                shared,
                int(follow_up),
                str(int(patient)),
                int(numbers[2]),
                view,
                int(name[2]),
            )
        )
    return entries


def read_boxes(path: Path) -> list[BoxEntry]:
    """The boxes of findings; the header of the release has nine fields and its rows six.

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
        boxes.append(BoxEntry(line, image, _SPELLED.get(label, label), corners))
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
        return f"has an age of {old.age} years in line {old.line}, as the table of 2017"
    for before, after in _age_falls(entries):
        return (
            f"gives patient {before.patient} the age {before.age} at follow-up {before.follow_up} "
            f"and {after.age} at follow-up {after.follow_up}"
        )
    return ""


def order_defects(path: Path, entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """(code, id) of a table whose numbers are not the order in time."""
    if _has_file_numbers(entries) or any(entry.age > MAX_AGE for entry in entries):
        yield "nih-2017-numbers", path.name
    for before, after in _age_falls(entries):
        yield "age-falls", f"{before.patient}: {before.image}, {after.image}"


def _has_file_numbers(entries: Sequence[Entry]) -> bool:
    """Whether every number is that of the file, and a patient has two films."""
    has_series = any(entry.follow_up for entry in entries)
    return has_series and all(entry.follow_up == entry.number for entry in entries)


def _age_falls(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Neighbours in the order of `Follow-up #` of which the later has a lower age."""
    ordered = sorted(entries, key=lambda entry: (entry.patient, entry.follow_up))
    for before, after in pairwise(ordered):
        if before.patient == after.patient and after.age < before.age:
            yield before, after
