"""What the checks of one run of `verify` share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lapse.core.progress import Progress, no_progress
from lapse.core.types import SPLITS
from lapse.data.datasets.discovery import DatasetRoots
from lapse.data.datasets.release_counts import DIFF_VQA, IMAGENOME, MIMIC_CXR
from lapse.data.verify.image_table import ImageTable
from lapse.data.verify.results import Findings

DATASETS = (MIMIC_CXR, IMAGENOME, DIFF_VQA)


class PatientSplits:
    """The patients of each split of one dataset."""

    def __init__(self) -> None:
        self._patients: dict[str, set[int]] = {split: set() for split in SPLITS}

    def add(self, patient: int, split: str) -> None:
        """Add a patient with a record in train, validate or test."""
        self._patients[split].add(patient)

    def patients(self, *splits: str) -> set[int]:
        """The patients of any of these splits."""
        return set().union(*(self._patients[split] for split in splits))

    def in_several(self) -> list[int]:
        """The patients of more than one split, ascending."""
        train, validate, test = self._patients.values()
        return sorted((train & validate) | (train & test) | (validate & test))


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


@dataclass(slots=True)
class VerifyContext:
    """One run of `verify`.

    Attributes:
        roots: the folders of the datasets.
        findings: collects the defects.
        progress: counts the steps.
        has_pixels: image files are decoded.
        counts: (dataset, table) -> rows.
        images: the metadata table, filled by the first check.
        patient_splits: the patients of each split, for each dataset.
    """

    roots: DatasetRoots
    findings: Findings
    progress: ProgressCounter
    has_pixels: bool = False
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    images: ImageTable = field(default_factory=ImageTable)
    patient_splits: dict[str, PatientSplits] = field(
        default_factory=lambda: {name: PatientSplits() for name in DATASETS}
    )

    @property
    def split_folder(self) -> Path:
        """The folder of Chest ImaGenome's split tables."""
        return self.roots.chest_imagenome / "silver_dataset" / "splits"
