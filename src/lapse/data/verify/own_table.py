"""`verify` of a table of own films: every cell, the rows together, the images, the boxes.

Errors of single cells are all listed. Rows are compared with each other only where all cells can
be read, and then the first contradiction is listed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from lapse.data.datasets.discovery import TableRoots
from lapse.data.datasets.plain_boxes import BoxRow, read_boxes
from lapse.data.datasets.plain_changes import read_changes
from lapse.data.datasets.plain_info import read_dataset_info
from lapse.data.datasets.plain_rows import FilmRow, read_films
from lapse.data.datasets.plain_studies import PlainStudy, group_studies, patient_splits
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.datasets.release_counts import RowCount
from lapse.data.verify.context import VerifyRun
from lapse.data.verify.film_files import FilmFiles, check_sides
from lapse.data.verify.masks import check_masks

DATASET = "own films"
Result = TypeVar("Result")


def check_table(roots: TableRoots, run: VerifyRun) -> tuple[RowCount, ...]:
    """Check a table of own films and the files next to it; returns the number of their rows."""
    check = _TableCheck(roots, run)
    check.run()
    check.files.check_pixels(run)
    return tuple(RowCount(DATASET, name, count, None) for name, count in check.counts.items())


class _TableCheck:
    """One run: the findings, and the rows that could be read."""

    def __init__(self, roots: TableRoots, run: VerifyRun) -> None:
        self.roots, self._run, self.findings = roots, run, run.findings
        self.counts: dict[str, int] = {}
        self.films: list[FilmRow] = []
        self._num_errors = 0

    @property
    def files(self) -> FilmFiles:
        """The images of the rows that could be read."""
        return FilmFiles(self.roots.images, {row.image: row.patient for row in self.films})

    def run(self) -> None:
        """Everything except the pixels."""
        boxes = self._read(self._read_tables, "table-file")
        self.files.check(self._run)
        if not self._num_errors:  # else a row that cannot be read may name the image
            self.files.check_unlisted(self.findings)
        if boxes is None or self._num_errors:
            self.findings.note("the rows were not compared: correct the errors first")
            return
        centers = ((box.image, box.region, (box.corners[0] + box.corners[2]) / 2) for box in boxes)
        check_sides(centers, self.findings)
        studies = self._read(self._group, "table-rows")
        if studies is None:
            self.findings.note("only the first contradiction of rows is listed")
            return
        if self.roots.changes is not None:
            read = partial(read_changes, self.roots.changes, studies, on_error=self._on_cell)
            self._read(read, "table-file")
        if not self._num_errors:
            self._read(self._count_pairs, "table-rows")

    def _read_tables(self) -> list[BoxRow]:
        info = read_dataset_info(self.roots.dataset)
        self.films = read_films(self.roots.table, info=info, on_error=self._on_cell)
        self.counts["films"] = len(self.films)
        if self.roots.boxes is None:
            return []
        boxes = read_boxes(self.roots.boxes, unit=info.box_unit, on_error=self._on_cell)
        self.counts["boxes"] = len(boxes)
        return boxes

    def _on_cell(self, error: ValueError) -> None:
        self._num_errors += 1
        self.findings.add("table-cell", str(error))

    def _read(self, read: Callable[[], Result], code: str) -> Result | None:
        """What a reader returns, None and a defect if it cannot."""
        try:
            return read()
        except ValueError as error:
            self._num_errors += 1
            self.findings.add(code, str(error))
            return None

    def _group(self) -> dict[str, PlainStudy]:
        patient_splits(self.films)
        return group_studies(self.films)

    def _count_pairs(self) -> None:
        table = PlainTable(self.roots)
        for error in table.box_errors():
            self._on_cell(error)
        check_masks(table, self.findings)
        pairs = list(table.pairs({study.id: study for study in table.images}))
        self.counts |= {
            "patients": len(table.splits),
            "studies": len({study.study for study in table.images}),
            "difference questions": sum(pair.category == "difference" for pair in pairs),
        }
        for line in (*table.skipped.lines(), *table.noted.lines()):
            self.findings.note(line)
