"""Chest ImaGenome 1.0.0, gold: 1,000 images with manually drawn boxes.

    gold_dataset/gold_bbox_coordinate_annotations_1000images.csv    a row per image and region
    gold_dataset/gold_object_attribute_with_coordinates.txt         tabs, a row per sentence, region
                                                                    and attribute

Image ids end in `.dcm`. Gold has 26 of the 29 regions: no spine, mediastinum and abdomen. A
sentence has one row for each of its attributes; here it is one phrase of its region. Gold is for
evaluation only: its patients are those to avoid in training.

`relation` tells whether the attribute belongs to the region: 0 marks a link that the annotators
rejected. Such a row makes no phrase, but its sentence is kept where another row of the region
affirms it. `context` is different: "no" denies a finding ("No effusion."), which is a phrase, in
gold as in silver.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from lapse.core.annotation_names import GOLD_REGIONS, REGION_SETS
from lapse.core.types import Region
from lapse.data.datasets.region_reader import RegionReader
from lapse.data.io.csv_tables import plain_id, read_header, read_rows
from lapse.data.reports.prior_removal import PriorRemover

FOLDER = "gold_dataset"
BOXES = "gold_bbox_coordinate_annotations_1000images.csv"
PHRASES = "gold_object_attribute_with_coordinates.txt"
CORNERS = ("x1", "y1", "x2", "y2")
NUMBERS = (*CORNERS, *(f"original_{corner}" for corner in CORNERS))
# The columns of the second table, each with its possible names.
COLUMNS = {
    "image": ("image_id",),
    "region": ("bbox", "bbox_name"),
    "sentence": ("sentence", "phrase"),
    "relation": ("relation",),
    "patient": ("patient_id", "subject_id"),
}
OPTIONAL = {
    "relation": "gold without a column of relations (all rows are read)",
    "patient": "gold without a column of patients",
}
RELATED, UNRELATED = ("1", "yes", "true"), ("0", "no", "false", "-1")


class ChestImaGenomeGold(RegionReader):
    """Regions with manually drawn boxes, and the sentences that describe them.

    Args:
        root: the folder of Chest ImaGenome.
        names: the regions to read.
        remover: removes references to earlier examinations from the phrases.

    Raises:
        ValueError: a table is missing or damaged, or lacks a column.
    """

    name = "chest_imagenome_gold"

    def __init__(
        self,
        root: Path,
        names: tuple[str, ...] = GOLD_REGIONS,
        remover: PriorRemover | None = None,
    ) -> None:
        super().__init__(names, REGION_SETS["36"], remover)
        self.root = root
        for name in (BOXES, PHRASES):
            if not (root / FOLDER / name).is_file():
                raise ValueError(
                    f"{root / FOLDER} holds no {name}: give the folder of Chest ImaGenome that "
                    f"holds {FOLDER}"
                )

    @staticmethod
    def is_in(root: Path) -> bool:
        """Whether a folder holds the gold tables."""
        return all((root / FOLDER / name).is_file() for name in (BOXES, PHRASES))

    @property
    def images(self) -> tuple[str, ...]:
        """The dicom_ids that have boxes, in the order of the table."""
        return tuple(self._items)

    def regions(self, dicom_id: str, size: tuple[int, int] | None) -> tuple[Region, ...]:
        """The regions of one image in the order of `names`.

        A region without a description has `phrases=()`, one without a drawn box has `box=None`. An
        image that is not in gold has no regions, and is noted.

        Args:
            size: its (height, width) in pixels; boxes need it.
        """
        items = self._items.get(dicom_id)
        if items is None:
            self.noted.add("image without gold boxes", dicom_id)
            return ()
        boxes = self.boxes(dicom_id, items, size)
        sentences, _ = self._described
        described = sentences.get(dicom_id, {}).items()
        phrases = self.phrases(dicom_id, ((name, tuple(texts)) for name, texts in described))
        return self.joined(dicom_id, boxes, phrases)

    def patient_splits(self) -> Iterator[tuple[str, str]]:
        """(patient, "test") of every patient with a described region."""
        for patient in self._described[1]:
            yield patient, "test"

    @cached_property
    def _items(self) -> dict[str, list[dict[str, str | float | None]]]:
        """Image -> its rows in the form of a scene graph; unreadable coordinates are None."""
        items: dict[str, list[dict[str, str | float | None]]] = {}
        path = self.root / FOLDER / BOXES
        columns = ("image_id", "bbox_name", *NUMBERS)
        for image, region, *corners in read_rows(path, columns, self.skipped):
            item: dict[str, str | float | None] = {"bbox_name": region.strip()}
            item |= {key: _number(text) for key, text in zip(NUMBERS, corners, strict=True)}
            items.setdefault(_dicom(image), []).append(item)
        return items

    @cached_property
    def _described(self) -> tuple[dict[str, dict[str, dict[str, None]]], dict[str, None]]:
        """Image -> region -> sentences, each once and in order; and the patients."""
        path = self.root / FOLDER / PHRASES
        columns = self._columns(path)
        sentences: dict[str, dict[str, dict[str, None]]] = {}
        patients: dict[str, None] = {}
        for texts in read_rows(path, tuple(columns.values()), self.skipped, delimiter="\t"):
            row = dict(zip(columns, texts, strict=True))
            image, region = _dicom(row["image"]), row["region"].strip()
            if not region:
                self.skipped.add("sentence without a region", image)
                continue
            if "relation" in row and not self._is_related(row["relation"], f"{image} {region}"):
                continue
            sentences.setdefault(image, {}).setdefault(region, {})[row["sentence"]] = None
            if "patient" in row:
                patients[plain_id(row["patient"])] = None
        return sentences, patients

    def _columns(self, path: Path) -> dict[str, str]:
        """What a column holds -> its name in the table, of the columns that exist."""
        header = read_header(path, delimiter="\t")
        columns = {}
        for content, names in COLUMNS.items():
            name = next((name for name in names if name in header), "")
            if name:
                columns[content] = name
            elif content in OPTIONAL:
                self.noted.add(OPTIONAL[content], path.name)
            else:
                raise ValueError(
                    f"{path} has no column {' or '.join(names)}: found "
                    f"{', '.join(header) or 'nothing'}; was it renamed?"
                )
        return columns

    def _is_related(self, relation: str, example: str) -> bool:
        """Whether a row links its sentence to its region; other rows are counted."""
        word = relation.strip().lower().removesuffix(".0")
        if word in RELATED:
            return True
        reason = "row with a negative relation" if word in UNRELATED else "row of unknown relation"
        self.skipped.add(reason, f"{example} {relation!r}")
        return False


def _dicom(image: str) -> str:
    return image.strip().removesuffix(".dcm")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
