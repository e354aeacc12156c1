"""`verify` of a table of own films: every cell, the rows together, the images, the boxes.

Errors of single cells are all listed. Rows are compared with each other only where all cells can
be read, and then the first contradiction is listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from lapse.core.progress import Progress, no_progress
from lapse.data.datasets.discovery import SIMULATED, TableRoots
from lapse.data.datasets.image_files import suffix_rank
from lapse.data.datasets.plain_boxes import BoxRow, read_boxes
from lapse.data.datasets.plain_changes import read_changes
from lapse.data.datasets.plain_info import read_dataset_info
from lapse.data.datasets.plain_rows import FilmRow, read_films
from lapse.data.datasets.plain_studies import PlainStudy, group_studies, patient_splits
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.datasets.release_counts import RowCount
from lapse.data.verify.results import Findings, VerifyReport
from lapse.images import read_image

DATASET = "own films"
Result = TypeVar("Result")


def verify_table(
    roots: TableRoots,
    *,
    pixels: bool = False,
    subset: bool = False,
    workers: int = 2,
    progress: Progress = no_progress,
) -> VerifyReport:
    """Check a table of own films and the files next to it.

    Args:
        roots: the table, the folder of images, and the optional files (`find_table_roots`).
        pixels: also decode every image.
        subset: images without a file are noted only.
        workers: threads that decode images.
        progress: called with (images done, images).
    """
    check = _TableCheck(roots, is_subset=subset)
    check.run()
    if pixels:
        check.check_pixels(workers, progress)
    else:
        check.findings.note("image files were not decoded: --check-pixels finds truncated ones")
    files = [(path.name, str(path)) for path in roots.files]
    return VerifyReport(
        roots=(*files, ("images", str(roots.images))),
        is_simulated=(roots.table.parent / SIMULATED).is_file(),
        has_pixels=pixels,
        defects=check.findings.defects(),
        rows=tuple(RowCount(DATASET, name, count, None) for name, count in check.counts.items()),
        notes=tuple(check.findings.notes),
    )


class _TableCheck:
    """One run: the findings, and the rows that could be read."""

    def __init__(self, roots: TableRoots, *, is_subset: bool) -> None:
        self.roots, self.is_subset = roots, is_subset
        self.findings = Findings()
        self.counts: dict[str, int] = {}
        self.films: list[FilmRow] = []
        self._num_errors = 0

    def run(self) -> None:
        """Everything except the pixels."""
        boxes = self._read(self._read_tables, "table-file")
        self._check_files()
        if boxes is None or self._num_errors:
            self.findings.note("the rows were not compared: correct the errors first")
            return
        self._check_sides(boxes)
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
        self.films = read_films(self.roots.table, outside=info.outside, on_error=self._on_cell)
        self.counts["films"] = len(self.films)
        if self.roots.boxes is None:
            return []
        boxes = read_boxes(self.roots.boxes, on_error=self._on_cell)
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
        pairs = list(table.pairs({study.id: study for study in table.images}))
        self.counts |= {
            "patients": len(table.splits),
            "studies": len({study.study for study in table.images}),
            "difference questions": sum(pair.category == "difference" for pair in pairs),
        }
        for line in (*table.skipped.lines(), *table.noted.lines()):
            self.findings.note(line)

    def _check_files(self) -> None:
        """Every row has an image that is not empty; other images are not in the table."""
        listed = {row.image: row for row in self.films}
        num_missing = 0
        for name in listed:
            path = self.roots.images / name
            if not path.is_file():
                num_missing += 1
                if not self.is_subset:
                    self.findings.add("missing-image", name)
            elif path.stat().st_size == 0:
                self.findings.add("empty-file", name)
        if self.is_subset and num_missing:
            self.findings.note(f"subset: {num_missing} of {len(listed)} images have no file")
        if self._num_errors:
            return  # a row that cannot be read may name the image
        for name in _image_names(self.roots.images):
            if name not in listed:
                self.findings.add("unlisted-image", name)

    def _check_sides(self, boxes: Iterable[BoxRow]) -> None:
        """The patient's right is left in the image."""
        centers: dict[str, dict[str, float]] = {}
        for box in boxes:
            center = (box.corners[0] + box.corners[2]) / 2
            centers.setdefault(box.image, {}).setdefault(box.region, center)
        for image, by_region in centers.items():
            for region, center in by_region.items():
                other = by_region.get(f"left {region.removeprefix('right ')}")
                if region.startswith("right ") and other is not None and center > other:
                    self.findings.add("sides-swapped", f"{image} {region}")

    def check_pixels(self, workers: int, progress: Progress) -> None:
        """Decode every image that exists; images of two patients must differ."""
        by_digest: dict[bytes, list[FilmRow]] = {}
        rows = [row for row in self.films if (self.roots.images / row.image).is_file()]
        with ThreadPoolExecutor(workers) as pool:
            for number, (row, digest) in enumerate(
                zip(rows, pool.map(self._digest, rows), strict=True), start=1
            ):
                progress(number, len(rows))
                if digest is None:
                    self.findings.add("undecodable-image", row.image)
                else:
                    by_digest.setdefault(digest, []).append(row)
        for same in by_digest.values():
            if len({row.patient for row in same}) > 1:
                self.findings.add("identical-pixels", " = ".join(row.image for row in same))

    def _digest(self, row: FilmRow) -> bytes | None:
        try:
            image = read_image(self.roots.images / row.image)
        except ValueError:
            return None
        digest = hashlib.sha256(f"{image.shape} ".encode())
        digest.update(np.ascontiguousarray(image).data)
        return digest.digest()


def _image_names(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if suffix_rank(path.suffix) is not None and not path.name.startswith("."):
            yield path.relative_to(folder).as_posix()
