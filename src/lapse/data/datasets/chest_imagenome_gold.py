"""Chest ImaGenome 1.0.0, gold: 1,000 images whose boxes were drawn by people.

    gold_dataset/gold_bbox_coordinate_annotations_1000images.csv    a row an image and region
    gold_dataset/gold_object_attribute_with_coordinates.txt         tabs, a row a sentence, region
                                                                    and attribute of it

Image ids end in `.dcm`. Gold has 26 of the 29 regions: no spine, mediastinum and abdomen. A
sentence stands in one row for each of its attributes; here it is one phrase of its region. Gold
is for evaluation only: its patients are those to avoid in training.

`relation` says whether the attribute belongs to the region: a row with 0 is a link that the
annotators rejected, so it makes no phrase; its sentence stays where another row of the region
affirms it. `context` is another matter: "no" is a finding denied ("No effusion."), and that is a
phrase, in gold as in silver.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from lapse.core.types import Region
from lapse.data.datasets.chest_imagenome import REGION_SETS, REGIONS
from lapse.data.datasets.region_reader import RegionReader
from lapse.data.io.csv_tables import plain_id, read_rows
from lapse.data.io.skip_log import SkipLog
from lapse.data.reports.prior_removal import PriorRemover

FOLDER = "gold_dataset"
BOXES = "gold_bbox_coordinate_annotations_1000images.csv"
PHRASES = "gold_object_attribute_with_coordinates.txt"
NOT_IN_GOLD = ("spine", "mediastinum", "abdomen")
GOLD_REGIONS = tuple(name for name in REGIONS if name not in NOT_IN_GOLD)
CORNERS = ("x1", "y1", "x2", "y2")
NUMBERS = (*CORNERS, *(f"original_{corner}" for corner in CORNERS))
# The columns of the second table, each under the names that it may have.
IMAGE_NAMES = ("image_id",)
REGION_NAMES = ("bbox", "bbox_name")
SENTENCE_NAMES = ("sentence", "phrase")
PATIENT_NAMES = ("patient_id", "subject_id")
RELATION_NAMES = ("relation",)
RELATED, UNRELATED = ("1", "yes", "true"), ("0", "no", "false", "-1")


class ChestImaGenomeGold:
    """Regions with boxes drawn by people, and the sentences that describe them.

    Args:
        root: the folder that holds `gold_dataset`.
        sizes: dicom_id -> (height, width) in pixels, from MIMIC-CXR-JPG's metadata.
        names: the regions to read.
        remover: takes references to earlier examinations out of the phrases.

    Attributes:
        skipped: rows, boxes and phrases that were dropped, by reason.
        noted: oddities of what was read. Both grow with every call of `regions`.

    Raises:
        ValueError: a table is missing or damaged, or lacks a column.
    """

    name = "chest_imagenome_gold"

    def __init__(
        self,
        root: Path,
        sizes: Mapping[str, tuple[int, int]],
        names: tuple[str, ...] = GOLD_REGIONS,
        remover: PriorRemover | None = None,
    ) -> None:
        self.root = root
        self.sizes = sizes
        self.names = names
        self._reader = RegionReader(names, REGION_SETS["36"], remover)
        for name in (BOXES, PHRASES):
            if not (root / FOLDER / name).is_file():
                raise ValueError(
                    f"{root / FOLDER} holds no {name}: give the folder of Chest ImaGenome that "
                    f"holds {FOLDER}"
                )

    @staticmethod
    def is_in(root: Path) -> bool:
        """Whether a folder holds the gold tables at all."""
        return all((root / FOLDER / name).is_file() for name in (BOXES, PHRASES))

    @property
    def images(self) -> tuple[str, ...]:
        """The dicom_ids that have boxes, in the order of the table."""
        return tuple(self._boxes)

    @property
    def skipped(self) -> SkipLog:
        """What was dropped, by reason."""
        return self._reader.skipped

    @property
    def noted(self) -> SkipLog:
        """Oddities of what was read, by reason."""
        return self._reader.noted

    def take_ledgers(self) -> tuple[SkipLog, SkipLog]:
        """What was skipped and noted until now; counting begins anew."""
        return self._reader.take_ledgers()

    def regions(self, dicom_id: str) -> tuple[Region, ...]:
        """The regions of one image in the order of `names`.

        A region that is not described has `phrases=()`, one that is described but not drawn has
        `box=None`. An image that is not in gold has no regions, and is noted.
        """
        items = self._boxes.get(dicom_id)
        if items is None:
            self.noted.add("image without gold boxes", dicom_id)
            return ()
        boxes = self._reader.boxes(dicom_id, items, self.sizes.get(dicom_id))
        described = self._sentences.get(dicom_id, {})
        phrases = self._reader.phrases(
            dicom_id, ((name, tuple(texts)) for name, texts in described.items())
        )
        return self._reader.regions(dicom_id, boxes, phrases)

    def patient_words(self) -> Iterator[tuple[str, str]]:
        """(patient, "test") of every patient with a described region."""
        for patient in self._patients:
            yield patient, "test"

    @cached_property
    def _boxes(self) -> dict[str, list[dict[str, str | float | None]]]:
        """Image -> its rows, as a scene graph has them; a blank or odd coordinate is None."""
        found: dict[str, list[dict[str, str | float | None]]] = {}
        path = self.root / FOLDER / BOXES
        for image, region, *corners in read_rows(
            path, ("image_id", "bbox_name", *NUMBERS), self.skipped
        ):
            item: dict[str, str | float | None] = {"bbox_name": region.strip()}
            item |= {key: _number(text) for key, text in zip(NUMBERS, corners, strict=True)}
            found.setdefault(_dicom(image), []).append(item)
        return found

    @cached_property
    def _described(self) -> tuple[dict[str, dict[str, dict[str, None]]], dict[str, None]]:
        """Image -> region -> sentences, each once and in order; and the patients."""
        path = self.root / FOLDER / PHRASES
        sentences: dict[str, dict[str, dict[str, None]]] = {}
        patients: dict[str, None] = {}
        rows = self._tab_rows(path)
        header = next(rows, [])
        image_place, region_place, sentence_place = (
            _place(path, header, names) for names in (IMAGE_NAMES, REGION_NAMES, SENTENCE_NAMES)
        )
        patient_place = _place_if_any(header, PATIENT_NAMES)
        relation_place = _place_if_any(header, RELATION_NAMES)
        if relation_place is None and header:
            self.noted.add("gold without a column of relations (all rows are read)", path.name)
        if patient_place is None:
            self.noted.add("gold without a column of patients", path.name)
        for row in rows:
            region = row[region_place].strip()
            if not region:
                self.skipped.add("sentence without a region", _dicom(row[image_place]))
                continue
            owner = f"{_dicom(row[image_place])} {region}"
            if relation_place is not None and not self._is_related(row[relation_place], owner):
                continue
            regions = sentences.setdefault(_dicom(row[image_place]), {})
            regions.setdefault(region, {})[row[sentence_place]] = None
            if patient_place is not None:
                patients[plain_id(row[patient_place])] = None
        return sentences, patients

    def _is_related(self, relation: str, owner: str) -> bool:
        """Whether a row links its sentence to its region; what is left out is counted."""
        word = relation.strip().lower().removesuffix(".0")
        if word in RELATED:
            return True
        reason = "row with a negative relation" if word in UNRELATED else "row of unknown relation"
        self.skipped.add(reason, f"{owner} {relation!r}")
        return False

    @property
    def _sentences(self) -> dict[str, dict[str, dict[str, None]]]:
        return self._described[0]

    @property
    def _patients(self) -> dict[str, None]:
        return self._described[1]

    def _tab_rows(self, path: Path) -> Iterator[list[str]]:
        """The header, then the rows that are as long."""
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter="\t")
            length = 0
            try:
                for row in reader:
                    length = length or len(row)
                    if len(row) == length:
                        yield row
                    elif row:
                        place = f"{path.name} line {reader.line_num}"
                        self.skipped.add("row with a wrong number of fields", place)
            except (OSError, UnicodeDecodeError, csv.Error) as error:
                raise ValueError(f"{path} is damaged ({error}): fetch the file again") from error


def _place(path: Path, header: list[str], names: tuple[str, ...]) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise ValueError(
        f"{path} has no column {' or '.join(names)}: found {', '.join(header) or 'nothing'}; "
        "was it renamed?"
    )


def _place_if_any(header: list[str], names: tuple[str, ...]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _dicom(image: str) -> str:
    return image.strip().removesuffix(".dcm")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
