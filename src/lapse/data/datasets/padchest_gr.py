"""The reports of PadChest-GR: sentences with boxes.

    grounded_reports_20240819.json    a list of studies: StudyID, ImageID, PreviousStudyID,
        PreviousImageID, findings: sentence_en, sentence_es, abnormal, boxes, extra_boxes, labels,
        locations, progression; a sentence that is not abnormal lacks boxes, labels and locations

`boxes` and `extra_boxes` are two readers. Boxes are fractions of the image, x_min, y_min, x_max,
y_max. Ids are texts, as in lapse.data.datasets.padchest.
Source: de Castro et al. 2025, arXiv:2411.05085.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lapse.core.types import Box
from lapse.data.datasets.padchest import STUDY, read_id
from lapse.data.datasets.plain_cells import Cells, raise_error, readable
from lapse.data.datasets.plain_changes import PROGRESSIONS
from lapse.data.datasets.release_tables import read_release_json

REPORTS = "grounded_reports_*.json"
MAX_JSON = 256 * 1024 * 1024  # bytes; the release has 6.3 million
LANGUAGES = ("en", "es")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a report.

    Attributes:
        texts: language -> the sentence.
        boxes: of the first reader, corners as fractions; not checked here.
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


def read_grounded(
    path: Path, *, on_error: Callable[[ValueError], None] = raise_error
) -> list[GroundedStudy]:
    """The studies of the JSON file, in its order.

    Args:
        on_error: called with the error of a study, which is then left out.

    Raises:
        ValueError: the file is not such a list, or a study cannot be read.
    """
    content = read_release_json(path, MAX_JSON)
    if not isinstance(content, list):
        raise ValueError(f"{path} is not a list of studies: download it again")
    seen: set[str] = set()

    def read(numbered: tuple[int, object]) -> GroundedStudy:
        study = _study(path.name, *numbered)
        if study.study in seen:
            raise ValueError(f"{path.name} study {numbered[0]}: {study.study!r} occurs twice")
        seen.add(study.study)
        return study

    return list(readable(enumerate(content, start=1), read, on_error))


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
