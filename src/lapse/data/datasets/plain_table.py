"""A table of own films, or a public release -> studies and questions from labelled findings.

    my_table.csv    one row per image (plain_rows); my_table.parquet with the same columns
    boxes.csv       optional, next to it: regions or findings; or boxes.json (plain_boxes)
    changes.csv     optional, next to it: the true changes of single pairs (plain_changes)
    dataset.json    optional, next to it: name, licence, description (plain_info)
    IMAGES/...      JPEG, PNG or DICOM

A release (lapse.data.datasets.release) is read into the same records (film_records), so all that
follows is shared. The first PA or AP image of a study represents it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lapse.core.annotation_names import REGION_SETS
from lapse.core.types import FINDING_BOX, Pair, Study
from lapse.data.datasets.mimic_cxr import FRONTAL_VIEWS
from lapse.data.datasets.plain_boxes import BoxRow
from lapse.data.datasets.plain_pairs import PlainPairs
from lapse.data.datasets.plain_regions import region_name
from lapse.data.datasets.plain_studies import PlainStudy, time_scale
from lapse.data.datasets.release import FilmRoots, read_records
from lapse.images import ImageError, image_size


class PlainTable:
    """The films of one table.

    Args:
        roots: the table or the release, and the folder of images.
        frontals: "first" (one image per study) or "all" (every PA and AP image).

    Attributes:
        images: the images to read without their reports, in the order of the table.
        info: what the data set is.
        rows: the rows of the table, of any view; `num_rows` of them.
        skipped: rows and pairs that are not used, by reason.
        noted: anomalies of what is used.

    Raises:
        ValueError: a table is missing or has an error; the message names row, column, value and
            what to write instead.
    """

    name = "plain_table"

    def __init__(self, roots: FilmRoots, *, frontals: str = "first") -> None:
        self.roots, self.frontals = roots, frontals
        self._records = records = read_records(roots)
        self.info, self.notes = records.info, records.notes
        self.skipped, self.noted = records.skipped, records.noted
        self.rows = records.rows
        self.num_rows, self.num_boxes = len(self.rows), len(records.boxes)
        self.splits = {self.info.patient(name): split for name, split in records.splits.items()}
        self.time = time_scale(records.studies.values())
        self._paths: dict[str, str] = {}  # image id -> path below the folder of images
        self._images_of = {name: self._frontals(study) for name, study in records.studies.items()}
        self.images = [image for images in self._images_of.values() for image in images]
        self._boxes_of = self._group_boxes(records.boxes, {row.image for row in self.rows})
        self.region_names = tuple(dict.fromkeys(region_name(box.region) for box in records.boxes))

    def image_path(self, study: Study) -> Path:
        """The file of an image."""
        return self.roots.images / self._paths[study.id]

    def image_name(self, study: Study) -> str:
        """The path of an image below the folder of images, as in the table."""
        return self._paths[study.id]

    def report(self, study: Study) -> str | None:
        """Findings and impression, "" where the cell is empty, None without such a column."""
        return self._records.studies[study.study].report

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

    def boxes_of(self, study: Study) -> tuple[BoxRow, ...]:
        """The boxes of an image, for `PlainRegions`."""
        return tuple(self._boxes_of.get(self._paths[study.id], ()))

    def pairs(self, stored: Mapping[str, Study]) -> Iterator[Pair]:
        """The difference questions and progressions (lapse.data.datasets.plain_pairs).

        Args:
            stored: image id -> its Study, of the images that could be read.
        """
        main_images = {name: images[0].id for name, images in self._images_of.items() if images}
        return PlainPairs(self._records, main_images).read(stored)

    def unanswered(self, stored: Mapping[str, Study]) -> Iterator[tuple[Study, Study]]:
        """(reference, main) of the pairs that the data set has no answer for."""
        for names in self._records.unanswered:
            images = [image[0].id for name in names if (image := self._images_of[name])]
            if len(images) == 2 and set(images) <= stored.keys():
                yield stored[images[0]], stored[images[1]]

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
            name = row.id or (f"{study.id}-{len(images) + 1}" if images else study.id)
            if name in self._paths or (not row.id and images and name in self._records.studies):
                raise row.cells.error(
                    "study", f"needs the image name {name!r}, which is a study: rename that study"
                )
            self._paths[name] = row.image
            patient = self.info.patient(study.patient)
            images.append(
                Study(
                    id=name,
                    study=study.id,
                    patient=patient,
                    image=name,
                    view=view,
                    split=self.splits[patient],
                    taken_at=study.taken_at,
                    report="",
                    regions=(),
                )
            )
        if not images:
            self.noted.add("study without a frontal image", study.id)
        return images

    def _group_boxes(self, boxes: Iterable[BoxRow], paths: set[str]) -> dict[str, list[BoxRow]]:
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
            if row.region not in REGION_SETS["36"] and not region_name(row.region).startswith(
                FINDING_BOX
            ):
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
    if box.unit == "fraction":
        return None
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
