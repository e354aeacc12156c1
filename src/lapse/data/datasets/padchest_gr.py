"""The two tables of PadChest-GR: sentences with boxes, and the facts of each study.

    grounded_reports_20240819.json    a list of studies: StudyID, ImageID, PreviousStudyID,
        PreviousImageID, findings: sentence_en, sentence_es, abnormal, boxes, extra_boxes, labels,
        locations, progression; a sentence that is not abnormal lacks boxes, labels and locations
    master_table.csv[.zip]            one row per study and label, not per sentence: only the split,
        the patient, the date and the sex are taken from it

`boxes` and `extra_boxes` are two readers. Boxes are fractions of the image, x_min, y_min, x_max,
y_max. Ids are texts, as in lapse.data.datasets.padchest.
Source: de Castro et al. 2025, arXiv:2411.05085.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import IO

from lapse.core.types import Box
from lapse.data.datasets.padchest import PATIENT, STUDY, read_date, read_id
from lapse.data.datasets.plain_cells import Cells, raise_error
from lapse.data.datasets.release_tables import read_release_json
from lapse.data.io.csv_tables import MAX_LINE, SPLIT_NAMES, is_empty

REPORTS = "grounded_reports_*.json"
MASTER = "master_table.csv"
MASTER_COLUMNS = ("StudyID", "ImageID", "PatientID", "split", "StudyDate_DICOM", "PatientSex_DICOM")
PROGRESSIONS = {"improved": "improving", "stable": "stable", "worsened": "worsening"}
MAX_JSON = 256 * 1024 * 1024  # bytes; the release has 6.3 million
LANGUAGES = ("en", "es")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a report.

    Attributes:
        texts: language -> the sentence.
        boxes: of the first reader, corners as fractions; not checked here.
        extra_boxes: of the second reader.
        progression: "improving", "stable", "worsening", or "" where none is given.
    """

    texts: Mapping[str, str]
    is_abnormal: bool
    boxes: tuple[tuple[float, ...], ...]
    extra_boxes: tuple[tuple[float, ...], ...]
    labels: tuple[str, ...]
    locations: tuple[str, ...]
    progression: str


@dataclass(frozen=True, slots=True)
class GroundedStudy:
    """One study of the JSON file; the previous study and image are "" where there is none."""

    study: str
    image: str
    previous_study: str
    previous_image: str
    sentences: tuple[Sentence, ...]

    def report(self, language: str) -> str:
        """Its sentences joined."""
        return " ".join(filter(None, (item.texts[language] for item in self.sentences)))


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


def read_grounded(
    path: Path, *, on_error: Callable[[ValueError], None] = raise_error
) -> list[GroundedStudy]:
    """The studies of the JSON file, in its order.

    Args:
        path: the file.
        on_error: called with the error of a study, which is then left out.

    Raises:
        ValueError: the file is not such a list, or a study cannot be read.
    """
    content = read_release_json(path, MAX_JSON)
    if not isinstance(content, list):
        raise ValueError(f"{path} is not a list of studies: download it again")
    studies, seen = [], set[str]()
    for number, item in enumerate(content, start=1):
        try:
            study = _study(path.name, number, item)
            if study.study in seen:
                raise ValueError(f"{path.name} study {number}: {study.study!r} occurs twice")
            seen.add(study.study)
            studies.append(study)
        except ValueError as error:
            on_error(error)
    return studies


def _study(table: str, number: int, item: object) -> GroundedStudy:
    if not isinstance(item, dict):
        raise ValueError(f"{table} study {number} is not an object: download the file again")
    ids = ("StudyID", "ImageID", "PreviousStudyID", "PreviousImageID")
    for name in ids:
        if not isinstance(item.get(name), str | None):
            raise ValueError(
                f"{table} study {number}: {name} {item[name]!r} is not a text: a program has read "
                "the ids as numbers; use the original file"
            )
    cells = Cells(table, number, {name: (item.get(name) or "").strip() for name in ids}, "study")
    sentences = item.get("findings") or []
    if not isinstance(sentences, list) or not all(isinstance(part, dict) for part in sentences):
        raise ValueError(f"{cells.name}: findings is not a list of objects: use the original file")
    if not cells["ImageID"]:
        raise cells.error("ImageID", "is empty: use the original file")
    previous = cells["PreviousStudyID"]
    return GroundedStudy(
        study=read_id(cells, "StudyID", STUDY),
        image=cells["ImageID"],
        previous_study=read_id(cells, "PreviousStudyID", STUDY) if previous else "",
        previous_image=cells["PreviousImageID"],
        sentences=tuple(_sentence(cells, part) for part in sentences),
    )


def _sentence(cells: Cells, part: Mapping[str, object]) -> Sentence:
    word = part.get("progression") or ""
    if word not in ("", *PROGRESSIONS):
        raise ValueError(
            f"{cells.name}: progression {word!r} is not one of {', '.join(PROGRESSIONS)}: use the "
            "original file"
        )
    texts = {lang: " ".join(str(part.get(f"sentence_{lang}") or "").split()) for lang in LANGUAGES}
    return Sentence(
        texts=texts,
        is_abnormal=part.get("abnormal") is True,
        boxes=_boxes(cells, part, "boxes"),
        extra_boxes=_boxes(cells, part, "extra_boxes"),
        labels=_names(cells, part, "labels"),
        locations=_names(cells, part, "locations"),
        progression=PROGRESSIONS.get(str(word), ""),
    )


def _names(cells: Cells, part: Mapping[str, object], key: str) -> tuple[str, ...]:
    names = part.get(key) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{cells.name}: {key} {names!r} is not a list of names")
    return tuple(filter(None, (" ".join(name.split()) for name in names)))


def _boxes(cells: Cells, part: Mapping[str, object], key: str) -> tuple[tuple[float, ...], ...]:
    boxes = part.get(key) or []
    if not isinstance(boxes, list) or not all(map(_is_box, boxes)):
        raise ValueError(
            f"{cells.name}: {key} {str(boxes)[:80]} is not a list of four numbers each"
        )
    return tuple(tuple(float(value) for value in box) for box in boxes)


def _is_box(box: object) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in box)
    )


def valid_box(corners: Sequence[float]) -> Box | None:
    """The box of four fractions, None if it is outside the image or without area."""
    try:
        return Box(*corners)
    except ValueError:
        return None


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


@dataclass(frozen=True, slots=True)
class ReaderAgreement:
    """How far the boxes of two readers agree, over the sentences that both have boxed.

    Attributes:
        sentences: number of such sentences.
        mean_iou: mean intersection over union of the two areas that the boxes of a sentence cover.
        half: fraction of sentences with an intersection over union of at least .5.
    """

    sentences: int
    mean_iou: float
    half: float

    def __str__(self) -> str:
        return (
            f"two readers boxed {self.sentences} sentences: mean IoU {self.mean_iou:.2f}, "
            f"{self.half:.0%} at .5 or more"
        )


def reader_agreement(studies: Sequence[GroundedStudy]) -> ReaderAgreement | None:
    """The agreement of `boxes` and `extra_boxes`; None if no sentence has both."""
    values = []
    for study in studies:
        for sentence in study.sentences:
            first = [box for box in map(valid_box, sentence.boxes) if box]
            second = [box for box in map(valid_box, sentence.extra_boxes) if box]
            if first and second:
                values.append(area_iou(first, second))
    if not values:
        return None
    half = sum(value >= 0.5 for value in values) / len(values)
    return ReaderAgreement(len(values), sum(values) / len(values), half)


def area_iou(first: Sequence[Box], second: Sequence[Box]) -> float:
    """Intersection over union of the areas that two sets of boxes cover, exact.

    >>> area_iou([Box(0, 0, 0.5, 1)], [Box(0, 0, 0.25, 1), Box(0.25, 0, 0.5, 1)])
    1.0
    """
    boxes = [*first, *second]
    xs = sorted({edge for box in boxes for edge in (box.x_min, box.x_max)})
    ys = sorted({edge for box in boxes for edge in (box.y_min, box.y_max)})
    intersection = union = 0.0
    for left, right in pairwise(xs):
        for top, bottom in pairwise(ys):
            covered = [
                any(
                    box.x_min <= left
                    and right <= box.x_max
                    and box.y_min <= top
                    and bottom <= box.y_max
                    for box in group
                )
                for group in (first, second)
            ]
            area = (right - left) * (bottom - top)
            intersection += area * all(covered)
            union += area * any(covered)
    return intersection / union
