"""A plan: the studies of a store, selected before any image is opened, and what follows from them.

    tables --> images to read --> the split of each --> shards of a thousand studies
                    |
                    '--> the key: identifies raw files, options and plan; equal keys, equal shards

The same raw files and options give the same plan on every machine. `Plan` is that of the public
datasets, `TablePlan` that of a table of own films.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from lapse.core.extras import check_extra
from lapse.core.types import Pair, Study
from lapse.data.datasets.discovery import DatasetRoots
from lapse.data.datasets.mimic_cxr import MimicCxr
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.datasets.release import FilmRoots
from lapse.data.io.skip_log import SkipLog
from lapse.data.prepare.options import PrepareOptions, PrepareReport
from lapse.data.prepare.shards import Shard, ShardItem
from lapse.data.prepare.sources import SourceCount
from lapse.data.store.info import NO_LABEL_FACTS

PLAN_VERSION = 5  # shards of another version are not reused


class StudyPlan(ABC):
    """The opened raw data and the studies to store; each kind of raw data has a subclass.

    Attributes:
        root: the raw data, for messages.
        patients: patient -> its split.
        num_leaked: patients whom the raw data both trains and evaluates on.
        studies: image id -> study in its split, without its report, in the order of the store.
        skipped, noted: records that the tables alone rule out, and anomalies.
        split_columns: the names of further columns of splits.csv.
        label_facts: what store.json says about time and labels.
    """

    root: Path
    patients: dict[str, str]
    num_leaked: int
    label_facts = NO_LABEL_FACTS
    studies: dict[str, Study]
    split_columns: tuple[str, ...]

    def __init__(self, roots: DatasetRoots | FilmRoots, options: PrepareOptions) -> None:
        self.roots, self.options = roots, options
        self.skipped, self.noted = SkipLog(), SkipLog()

    def key(self, priors: str) -> str:
        """Sixteen hex digits that identify raw files, options and plan.

        Args:
            priors: the name of the remover of references to priors.
        """
        same = replace(self.options, workers=0, dask="", shard=None, is_subset=False)
        options = asdict(same)
        del options["dask"]
        digest = hashlib.sha256(f"{PLAN_VERSION} {options} {priors}".encode())
        for line in self._raw_lines():
            digest.update(line.encode())
        for study in self.studies.values():
            line = f"{study.id} {study.study} {study.patient} {study.split}\n"
            digest.update(line.encode())
        return digest.hexdigest()[:16]

    @property
    def num_shards(self) -> int:
        """The number of shards of the store."""
        return -(-len(self.studies) // self.options.shard_size)

    def shards(self, indices: Iterable[int]) -> Iterator[Shard]:
        """The shards of these indices, built one by one."""
        studies, size = list(self.studies.values()), self.options.shard_size
        for index in indices:
            selected = studies[index * size : (index + 1) * size]
            yield Shard(index, tuple(map(self._item, selected)))

    @abstractmethod
    def pairs(self, stored: Mapping[str, Study]) -> Iterator[Pair]:
        """The pairs of the stored studies (image id -> study) that the protocol allows."""

    @abstractmethod
    def split_rows(self) -> Iterator[tuple[Study, tuple[str, ...]]]:
        """Every planned study, with the values of `split_columns`."""

    @abstractmethod
    def complete(self, report: PrepareReport) -> None:
        """Add what was read, the release, and the logs of the datasets."""

    def unanswered(self, stored: Mapping[str, Study]) -> Iterable[tuple[Path, Path, str]]:  # noqa: ARG002
        """(reference image, main image, split) of pairs without an answer, for `lapse answer`."""
        return ()

    def source_counts(self) -> Iterable[SourceCount]:
        """What the raw data delivers and should deliver, before images are opened."""
        return ()

    @property
    @abstractmethod
    def box_source(self) -> tuple[str, int]:
        """Where the boxes come from, and the number of region names, for store.json."""

    @abstractmethod
    def _item(self, study: Study) -> ShardItem:
        """A study with its image and its report."""

    @abstractmethod
    def _expected_path(self, study: Study) -> Path:
        """Where the image of a study is expected, for messages."""

    @abstractmethod
    def _raw_lines(self) -> Iterator[str]:
        """One line per raw table that identifies its content."""

    def _with_images(
        self, studies: Iterable[tuple[Study, Path | None]], dataset: MimicCxr | PlainTable
    ) -> dict[str, Study]:
        """Image id -> study, of the images that exist; checked before the slow part starts.

        Args:
            studies: with the image file of each, None where there is none.

        Raises:
            ValueError: an image is missing without `is_subset`, no study remains, or pydicom is
                needed.
        """
        existing: dict[str, Study] = {}
        missing = SkipLog()
        has_dicom = False
        for study, path in studies:
            if path is not None:
                has_dicom = has_dicom or path.suffix.lower() == ".dcm"
                existing[study.id] = study
            elif self.options.is_subset:
                self.skipped.add(f"{dataset.name}: image file missing (subset)", study.id)
            else:
                missing.add("missing", str(self._expected_path(study)))
        if missing.total:
            examples = ", ".join(missing.examples["missing"])
            raise ValueError(
                f"{missing.total} of {missing.total + len(existing)} images are missing, for "
                f"example {examples}: download them, or use --subset to continue without them"
            )
        if not existing:
            reasons = "; ".join([*self.skipped.lines(), *dataset.skipped.lines()])
            raise ValueError(f"no study of {self.root} can be stored: {reasons or 'empty'}")
        if has_dicom:
            check_extra("dicom", ["pydicom"], f"reading the DICOM images of {self.root}")
        return existing
