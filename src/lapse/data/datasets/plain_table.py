"""A table of own films -> studies, regions, and difference questions from labelled findings.

    my_table.csv    one row per image (plain_rows); my_table.parquet with the same columns
    boxes.csv       optional, next to it: regions or findings; or boxes.json (plain_boxes)
    changes.csv     optional, next to it: the true changes of single pairs (plain_changes)
    dataset.json    optional, next to it: name, licence, description (plain_info)
    IMAGES/...      JPEG, PNG or DICOM

The first PA or AP image of a study represents it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from lapse.core.types import Box, Pair, Region, Study
from lapse.data.datasets.chest_imagenome import REGION_SETS
from lapse.data.datasets.discovery import TableRoots
from lapse.data.datasets.mimic_cxr import FRONTAL_VIEWS
from lapse.data.datasets.plain_boxes import BoxRow, read_boxes
from lapse.data.datasets.plain_changes import read_changes
from lapse.data.datasets.plain_info import read_dataset_info
from lapse.data.datasets.plain_pairs import PairLabels, PlainPairs
from lapse.data.datasets.plain_rows import read_films
from lapse.data.datasets.plain_studies import PlainStudy, group_studies, patient_splits
from lapse.data.datasets.region_reader import RegionReader
from lapse.data.datasets.scene_graph import Frame, original_box
from lapse.data.io.skip_log import SkipLog
from lapse.data.reports.prior_removal import PriorRemover
from lapse.images import ImageError, image_size


class PlainTable:
    """The films of one table.

    Args:
        roots: the table, the folder of images and the table of boxes.
        remover: removes references to earlier examinations from the phrases.
        frontals: "first" (one image per study) or "all" (every PA and AP image).

    Attributes:
        images: the images to read without their reports, in the order of the table.
        info: what the data set is.
        splits: patient -> split.
        num_rows: rows of the table, of any view.
        skipped: rows and pairs that are not used, by reason.
        noted: anomalies of what is used.

    Raises:
        ValueError: a table is missing or has an error; the message names row, column, value and
            what to write instead.
    """

    name = "plain_table"

    def __init__(
        self, roots: TableRoots, remover: PriorRemover | None = None, *, frontals: str = "first"
    ) -> None:
        self.roots, self.frontals = roots, frontals
        self.skipped, self.noted = SkipLog(), SkipLog()
        self.info = read_dataset_info(roots.dataset)
        rows = read_films(roots.table, outside=self.info.outside)
        boxes = read_boxes(roots.boxes) if roots.boxes is not None else []
        self.num_rows, self.num_boxes = len(rows), len(boxes)
        self.splits = patient_splits(rows)
        self._studies = group_studies(rows)
        changes = roots.changes
        self._stated = {} if changes is None else read_changes(changes, self._studies)
        self._paths: dict[str, str] = {}  # image id -> path below the folder of images
        self._images_of = {name: self._frontals(study) for name, study in self._studies.items()}
        self.images = [image for images in self._images_of.values() for image in images]
        self._boxes_of = self._group_boxes(boxes, {row.image for row in rows})
        self.region_names = tuple(dict.fromkeys(box.region for box in boxes))
        self._reader = RegionReader(self.region_names, self.region_names, remover)

    def image_path(self, study: Study) -> Path:
        """The file of an image."""
        return self.roots.images / self._paths[study.id]

    def image_name(self, study: Study) -> str:
        """The path of an image below the folder of images, as in the table."""
        return self._paths[study.id]

    def report(self, study: Study) -> str | None:
        """Findings and impression, "" where the cell is empty, None without such a column."""
        return self._studies[study.study].report

    def check_box_sizes(self) -> None:
        """Check the boxes of JPEG and PNG images against the size of the image.

        Raises:
            ValueError: a box extends beyond its image.
        """
        for error in self.box_errors():
            raise error

    def box_errors(self) -> Iterator[ValueError]:
        """An error for each box that does not fit its JPEG or PNG image."""
        for image in self.images:
            boxes = self._boxes_of.get(self._paths[image.id], [])
            if not boxes:
                continue
            try:
                size = image_size(self.image_path(image))
            except ImageError:
                continue  # missing, a DICOM or unreadable: counted or clipped at decoding
            yield from filter(None, (_size_error(box, size) for box in boxes))

    def regions(self, image: str, size: tuple[int, int] | None) -> tuple[Region, ...]:
        """The boxes of one image with their phrases; a second box of a region is numbered.

        Args:
            image: its id.
            size: its height and width in pixels.
        """
        boxes = self._boxes_of.get(self._paths[image], [])
        if not boxes or size is None:
            return ()
        phrases: dict[tuple[str, Box], list[str]] = {}
        for row in boxes:
            example = row.cells.name
            box, is_clipped = original_box(row.corners, Frame(*size))
            if box is None:
                self._reader.skipped.add("box outside its image", example)
                continue
            if is_clipped:
                self._reader.noted.add("box clipped to its image", example)
            phrases.setdefault((row.region, box), []).append(row.phrase)
        counts: Counter[str] = Counter()
        regions = []
        for (name, box), texts in phrases.items():
            counts[name] += 1
            described = [(name, [text for text in texts if text])] if any(texts) else []
            cleaned = self._reader.phrases(image, described).get(name, ())
            number = f" {counts[name]}" if counts[name] > 1 else ""
            regions.append(Region(f"{name}{number}", cleaned, box))
        return tuple(regions)

    def take_logs(self) -> tuple[SkipLog, SkipLog]:
        """The logs of `regions` since the last call; both start again empty."""
        return self._reader.take_logs()

    def pairs(self, stored: Mapping[str, Study]) -> Iterator[Pair]:
        """The difference questions and progressions (lapse.data.datasets.plain_pairs).

        Args:
            stored: image id -> its Study, of the images that could be read.
        """
        labels = PairLabels(self._studies, self._stated, frozenset(self.info.outside))
        main_images = {name: images[0].id for name, images in self._images_of.items() if images}
        return PlainPairs(labels, main_images, self.skipped).read(stored)

    def _frontals(self, study: PlainStudy) -> list[Study]:
        """The images of a study to read; others are counted."""
        images: list[Study] = []
        for row in study.rows:
            view = FRONTAL_VIEWS.get(row.view.lower()) if row.view else ""
            if view is None:
                self.skipped.add("image that is neither PA nor AP", f"{row.image} {row.view!r}")
                continue
            if images and self.frontals == "first":
                self.skipped.add("further frontal image of a study", row.image)
                continue
            if not view:
                self.noted.add("image without a view (taken as frontal)", row.image)
            name = f"{study.id}-{len(images) + 1}" if images else study.id
            if name in self._paths or (images and name in self._studies):
                raise row.cells.error(
                    "study", f"needs the image name {name!r}, which is a study: rename that study"
                )
            self._paths[name] = row.image
            images.append(
                Study(
                    id=name,
                    study=study.id,
                    patient=study.patient,
                    image=name,
                    view=view,
                    split=self.splits[study.patient],
                    taken_at=study.date,
                    report="",
                    regions=(),
                )
            )
        if not images:
            self.noted.add("study without a frontal image", study.id)
        return images

    def _group_boxes(self, boxes: list[BoxRow], paths: set[str]) -> dict[str, list[BoxRow]]:
        """Path of an image -> its boxes."""
        used = set(self._paths.values())
        boxes_of: dict[str, list[BoxRow]] = {}
        for row in boxes:
            if row.image not in paths:
                raise row.cells.error(
                    "image",
                    f"is not in {self.roots.table.name}: write the path as in its column 'image'",
                )
            if row.image not in used:
                self.skipped.add("box of an image that is not used", row.image)
            if row.region not in REGION_SETS["36"]:
                self.noted.add("box with a name outside the 36 regions (kept)", row.region)
            boxes_of.setdefault(row.image, []).append(row)
        return boxes_of


def _size_error(box: BoxRow, size: tuple[int, int]) -> ValueError | None:
    """Why a box does not fit an image of this (height, width), None if it does."""
    height, width = size
    if box.size is not None and box.size != size:
        return box.cells.error(
            "image",
            f"has {width} x {height} pixels and the boxes were drawn on {box.size[1]} x "
            f"{box.size[0]}: give the boxes in pixels of this file",
        )
    for column, value, limit in (
        ("x_max", box.corners[2], width),
        ("y_max", box.corners[3], height),
    ):
        if value > limit:
            return box.cells.error(
                column,
                f"is beyond the image of {width} x {height} pixels: give the corners in pixels of "
                "this file",
            )
    return None
