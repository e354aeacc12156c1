"""What the checks of one run of `verify` share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lapse.core.progress import Progress, no_progress
from lapse.data.datasets.discovery import DatasetRoots
from lapse.data.datasets.release_counts import DIFF_VQA, IMAGENOME, MIMIC_CXR
from lapse.data.io.csv_tables import have_same_content, matching_tables
from lapse.data.verify.image_table import ImageTable
from lapse.data.verify.results import Findings
from lapse.data.verify.tables import RawTable

DATASETS = (MIMIC_CXR, IMAGENOME, DIFF_VQA)
SOURCES = {  # what a source delivers -> the id of its defect
    "few-frontals": "studies with a frontal image",
    "few-sections": "reports with findings or an impression",
    "few-regions": "images with boxes and descriptions",
    "few-questions": "questions of a category about known studies",
}


@dataclass(frozen=True, slots=True)
class ImageFile:
    """The file of an image: its tree and its suffix."""

    root: Path
    suffix: str
    is_empty: bool


class ProgressCounter:
    """Work done and work expected, for a progress bar; the checks add to both."""

    def __init__(self, progress: Progress = no_progress, every: int = 200) -> None:
        self.done = 0
        self.total = 0
        self._progress = progress
        self._every = every

    def expect(self, count: int) -> None:
        """Expect this number of further steps."""
        self.total += count
        self._progress(self.done, self.total)

    def step(self) -> None:
        """Complete a step; an unexpected step raises the total."""
        self.done += 1
        self.total = max(self.total, self.done)
        if self.done % self._every == 0 or self.done == self.total:
            self._progress(self.done, self.total)

    def finish(self) -> None:
        """Report all work as done, however much was expected."""
        self.total = self.done
        self._progress(self.done, self.total)


@dataclass(frozen=True, slots=True)
class VerifyRun:
    """The options of one run of `verify`, its progress, and what it has found.

    Attributes:
        has_pixels: image files are decoded, by `workers` threads.
        is_subset: the copy is a part of a release.
    """

    has_pixels: bool
    is_subset: bool
    workers: int
    progress: ProgressCounter
    findings: Findings = field(default_factory=Findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyContext(VerifyRun):
    """A run on the public datasets, and what the checks share.

    Attributes:
        roots: the folders of the datasets.
        counts: (dataset, table) -> rows.
        images: the metadata table, filled by the first check.
        image_files: dicom_id -> its file, filled by the second check.
        studies_with_files: the studies of these images.
        patients: (dataset, split) -> its patients.
    """

    roots: DatasetRoots
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    images: ImageTable = field(default_factory=ImageTable)
    image_files: dict[str, ImageFile] = field(default_factory=dict)
    studies_with_files: set[int] = field(default_factory=set)
    patients: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))

    @property
    def has_all_images(self) -> bool:
        """Whether an image that is absent from the metadata is not in the release."""
        return self.images.is_complete and not self.is_subset

    def table(
        self, folder: Path, pattern: str, columns: Sequence[str], *, allows_extra: bool = False
    ) -> RawTable | None:
        """The table to read, None if there is none; further files of that name are reported.

        `columns` and `allows_extra` are those of `RawTable`.
        """
        paths = matching_tables(folder, pattern)
        for other in paths[1:]:
            is_equal = have_same_content(paths[0], other)
            code = "repeated-table" if is_equal else "ambiguous-table"
            self.findings.add(code, f"{paths[0].name} (read), {other.name}")
        if not paths:
            return None
        return RawTable(paths[0], self.findings, columns, allows_extra=allows_extra)

    def is_in_copy(self, study: int) -> bool:
        """Whether the files of a study are expected: all studies, in a subset those with images."""
        return not self.is_subset or study in self.studies_with_files

    def check_amount(self, code: str, count: int, expected: int) -> None:
        """Report a source that delivers less than half; in a subset it is only noted."""
        if 2 * count >= expected:
            return
        if not self.is_subset:
            self.findings.add(code, SOURCES[code])
        self.findings.note(f"{SOURCES[code]}: {count:,} of {expected:,}")
