"""The plan of a table of own films (lapse.data.datasets.plain_table)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lapse.core.files import sha256_of
from lapse.core.types import Pair, Study
from lapse.data.datasets.discovery import DatasetRoots, TableRoots
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.prepare.options import PrepareOptions, PrepareReport
from lapse.data.prepare.plan import Plan
from lapse.data.prepare.shards import ShardItem
from lapse.data.prepare.study_plan import StudyPlan


class TablePlan(StudyPlan):
    """The checked table and the studies to store.

    Raises:
        ValueError: the table has an error, an image is missing without `is_subset`, or no study
            remains.
    """

    split_columns = ("image",)

    def __init__(self, roots: TableRoots, options: PrepareOptions) -> None:
        super().__init__(roots, options)
        if options.boxes == "gold":
            raise ValueError(
                "--boxes gold needs Chest ImaGenome: the boxes of own films are in boxes.csv"
            )
        self.root = roots.table
        self.table = PlainTable(roots, frontals=options.frontals)
        self.table.check_box_sizes()
        self.patients, self.num_leaked = self.table.splits, 0
        paths = ((study, self.table.image_path(study)) for study in self.table.images)
        images = ((study, path if path.is_file() else None) for study, path in paths)
        self.studies = self._with_images(images, self.table.name)
        if not self.studies:
            reasons = "; ".join([*self.skipped.lines(), *self.table.skipped.lines()])
            raise ValueError(f"no study of {self.root} can be stored: {reasons}")

    def pairs(self, stored: Mapping[str, Study]) -> Iterator[Pair]:
        """The difference questions that follow from the findings."""
        return self.table.pairs(stored)

    def split_rows(self) -> Iterator[tuple[Study, tuple[str, ...]]]:
        """Every image with its path."""
        for study in self.studies.values():
            yield study, (self.table.image_name(study),)

    def complete(self, report: PrepareReport) -> None:
        """Add the counts and the logs of the table; its hash is the release."""
        table = self.table
        report.read = {"images": table.num_rows, "boxes": table.num_boxes}
        report.release = table.info.release(sha256_of(table.roots.table)[:12])
        report.skipped.merge(self.skipped)
        report.skipped.merge(table.skipped, f"{table.name}: ")
        report.noted.merge(table.noted, f"{table.name}: ")

    @property
    def box_source(self) -> tuple[str, int]:
        """ "table", and the number of names in it."""
        return "table", len(self.table.region_names)

    def _item(self, study: Study) -> ShardItem:
        return ShardItem(study, self.table.image_path(study), None, self.table.report(study))

    def _expected_path(self, study: Study) -> Path:
        return self.table.image_path(study)

    def _raw_lines(self) -> Iterator[str]:
        for path in self.table.roots.files:
            yield f"{path.name} {sha256_of(path)}\n"


def make_plan(roots: DatasetRoots | TableRoots, options: PrepareOptions) -> StudyPlan:
    """The plan of the public datasets, or of a table of own films."""
    if isinstance(roots, TableRoots):
        return TablePlan(roots, options)
    return Plan(roots, options)
