"""The plan of a table of own films or of a public release (lapse.data.datasets.plain_table)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lapse.core.files import sha256_of
from lapse.core.types import Pair, Study
from lapse.data.datasets.discovery import DatasetRoots, ReleaseRoots, TableRoots
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.datasets.release import FilmRoots
from lapse.data.io.split_archive import Archives
from lapse.data.prepare.options import PrepareOptions, PrepareReport
from lapse.data.prepare.plan import Plan
from lapse.data.prepare.shards import ShardItem
from lapse.data.prepare.sources import SourceCount
from lapse.data.prepare.study_plan import StudyPlan
from lapse.data.store.info import LabelFacts

MAX_HASHED = 256 * 1024**2  # bytes; larger tables are identified by their size


class TablePlan(StudyPlan):
    """The checked table and the studies to store.

    Raises:
        ValueError: the table has an error, an image is missing without `is_subset`, or no study
            remains.
    """

    split_columns = ("image",)
    roots: FilmRoots

    def __init__(self, roots: FilmRoots, options: PrepareOptions) -> None:
        super().__init__(roots, options)
        if options.boxes == "gold":
            raise ValueError(
                "--boxes gold needs Chest ImaGenome: the boxes of own films are in boxes.csv, "
                "those of other releases in their tables"
            )
        self.root = roots.table
        self.table = PlainTable(roots, frontals=options.frontals)
        if isinstance(roots, TableRoots):
            for error in self.table.box_errors():
                raise error
        info = self.table.info
        self.label_facts = LabelFacts(self.table.time, info.remark, info.labelled)
        self.patients, self.num_leaked = self.table.splits, 0
        paths = ((study, self.table.image_path(study)) for study in self.table.images)
        archives = Archives()
        images = ((study, path if archives.is_file(path) else None) for study, path in paths)
        self.studies = self._with_images(images, self.table)

    def pairs(self, stored: Mapping[str, Study]) -> Iterator[Pair]:
        """The difference questions that follow from the findings."""
        return self.table.pairs(stored)

    def unanswered(self, stored: Mapping[str, Study]) -> Iterator[tuple[Path, Path, str]]:
        """The image files of pairs that the data set has no answer for."""
        for reference, main in self.table.unanswered(stored):
            first, second = (self.table.image_path(item).resolve() for item in (reference, main))
            yield first, second, main.split

    def split_rows(self) -> Iterator[tuple[Study, tuple[str, ...]]]:
        """Every image with its path."""
        for study in self.studies.values():
            yield study, (self.table.image_name(study),)

    def complete(self, report: PrepareReport) -> None:
        """Add the counts and the logs of the table; its hash is the release."""
        table = self.table
        report.read = {"images": table.num_rows, "boxes": table.num_boxes}
        kind = "own table" if isinstance(self.roots, TableRoots) else "table"
        parts = [f"{kind} {sha256_of(table.roots.table)[:12]}", *table.notes]
        report.release = table.info.release(", ".join(parts))
        report.skipped.merge(self.skipped)
        report.skipped.merge(table.skipped, f"{table.name}: ")
        report.noted.merge(table.noted, f"{table.name}: ")

    def source_counts(self) -> Iterator[SourceCount]:
        """Images with a box of CheXmask."""
        masks = self.roots.masks
        if masks is not None:
            boxes = map(self.table.boxes_of, self.studies.values())
            count = sum(any(box.cells.table == masks.name for box in group) for group in boxes)
            hint = f"check that {masks} is the file of this data set"
            yield SourceCount("images with boxes of CheXmask", count, len(self.studies), hint)

    @property
    def box_source(self) -> tuple[str, int]:
        """ "table", and the number of names in it."""
        return "table", len(self.table.region_names)

    def _item(self, study: Study) -> ShardItem:
        path, boxes = self.table.image_path(study), self.table.boxes_of(study)
        return ShardItem(study, path, None, self.table.report(study), boxes=boxes)

    def _expected_path(self, study: Study) -> Path:
        return self.table.image_path(study)

    def _raw_lines(self) -> Iterator[str]:
        for path in self.table.roots.files:
            is_large = path.stat().st_size > MAX_HASHED
            yield f"{path.name} {path.stat().st_size if is_large else sha256_of(path)}\n"
        if isinstance(self.roots, ReleaseRoots):
            yield f"{self.roots.label_map} {self.roots.language}\n"


def make_plan(roots: DatasetRoots | FilmRoots, options: PrepareOptions) -> StudyPlan:
    """The plan of MIMIC-CXR and its companions, of own films, or of another release."""
    if isinstance(roots, DatasetRoots):
        return Plan(roots, options)
    return TablePlan(roots, options)
