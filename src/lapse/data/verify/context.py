"""What the checks of one `verify` share: where to look, what is known so far, whom to tell."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lapse.data.datasets.discovery import Roots
from lapse.data.datasets.release_counts import DIFF_VQA, IMAGENOME, MIMIC_CXR
from lapse.data.io.compact_maps import Ints
from lapse.data.verify.image_index import ImageIndex
from lapse.data.verify.results import Findings

DATA_SETS = (MIMIC_CXR, IMAGENOME, DIFF_VQA)
PARTS = ("train", "validate", "test")
_BUFFER = 65_536


class PatientParts:
    """Which patients stand in which parts of one data set; each (patient, part) kept once."""

    def __init__(self) -> None:
        self._seen: Ints = np.zeros(0, np.int64)
        self._new: array[int] = array("q")

    def add(self, patient: int, part: str) -> None:
        """One record of a patient in train, validate or test."""
        self._new.append(patient * 4 + PARTS.index(part))
        if len(self._new) >= _BUFFER:
            self._merge()

    def patients(self, *parts: str) -> Ints:
        """The patients of any of these parts, ascending."""
        self._merge()
        wanted = [PARTS.index(part) for part in parts]
        return np.unique(self._seen[np.isin(self._seen % 4, wanted)] // 4)

    def in_several(self) -> Ints:
        """The patients of more than one part, ascending."""
        self._merge()
        patients, counts = np.unique(self._seen // 4, return_counts=True)
        several: Ints = patients[counts > 1]
        return several

    def _merge(self) -> None:
        added = np.array(self._new, dtype=np.int64)
        self._seen = np.unique(np.concatenate([self._seen, added]))
        self._new = array("q")


class ProgressCounter:
    """Work done and work expected, for a progress bar; the checks announce what they find."""

    def __init__(
        self, progress: Callable[[int, int], None] | None = None, every: int = 200
    ) -> None:
        self.done = 0
        self.total = 0
        self._progress = progress
        self._every = every

    def expect(self, count: int) -> None:
        """So many more steps will come."""
        self.total += count
        self._tell()

    def step(self) -> None:
        """One step is done; a step that nobody announced counts as announced."""
        self.done += 1
        self.total = max(self.total, self.done)
        if self.done % self._every == 0 or self.done == self.total:
            self._tell()

    def finish(self) -> None:
        """Everything is done, whatever was expected."""
        self.total = self.done
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self.done, self.total)


@dataclass(slots=True)
class VerifyContext:
    """One run of the doctor.

    Attributes:
        counts: (data set, what) -> rows.
        images: the metadata table, filled by the first check.
        parts: patients by split, for each data set.
    """

    roots: Roots
    findings: Findings
    meter: ProgressCounter
    has_pixels: bool = False
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    images: ImageIndex = field(default_factory=ImageIndex)
    parts: dict[str, PatientParts] = field(
        default_factory=lambda: {name: PatientParts() for name in DATA_SETS}
    )

    @property
    def splits(self) -> Path:
        """The folder of Chest ImaGenome's split tables."""
        return self.roots.chest_imagenome / "silver_dataset" / "splits"
