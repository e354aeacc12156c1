"""The studies of a store, selected before any image is opened.

    tables --> images to read --> the split of each --> shards of a thousand studies
                    |
                    '--> the key: identifies raw files, options and plan; equal keys, equal shards

The same raw files and options give the same plan on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from lapse.core.extras import check_extra
from lapse.core.types import Pair, Study
from lapse.data.datasets.chest_imagenome import ChestImaGenome
from lapse.data.datasets.chest_imagenome_gold import ChestImaGenomeGold
from lapse.data.datasets.discovery import DatasetRoots
from lapse.data.datasets.mimic_cxr import ImageSelection, MimicCxr
from lapse.data.datasets.mimic_diff_vqa import MimicDiffVqa
from lapse.data.datasets.ms_cxr_t import MsCxrT
from lapse.data.datasets.splits import assign_patients, leaked_patients
from lapse.data.io.skip_log import SkipLog
from lapse.data.prepare.options import PrepareOptions
from lapse.data.prepare.shards import Shard, ShardItem

PLAN_VERSION = 2  # shards of another version are not reused


class Plan:
    """The opened datasets and the studies to store.

    Args:
        roots: the raw datasets.
        options: which studies.

    Attributes:
        patients: patient -> split under patient-safe.
        num_leaked: patients whom the published splits both train and evaluate on.
        studies: dicom_id -> study in its split under the protocol, without its report, in the
            order of the store.
        skipped, noted: records that the tables alone rule out, and anomalies.

    Raises:
        ValueError: a table is missing or damaged, an image is missing without `is_subset`, or
            no study remains.
    """

    def __init__(self, roots: DatasetRoots, options: PrepareOptions) -> None:
        self.roots, self.options = roots, options
        self.skipped, self.noted = SkipLog(), SkipLog()
        self.questions = MimicDiffVqa(roots.medical_diff_vqa)
        self.progressions = MsCxrT(roots.ms_cxr_t) if roots.ms_cxr_t is not None else None
        self.gold = _open_gold(roots, options)
        self._gold_images = frozenset(self.gold.images if self.gold else ())
        extra = self._gold_images | (self.progressions.images if self.progressions else set())
        selection = ImageSelection(options.frontals, self.questions.images, extra)
        self.mimic = MimicCxr(roots.mimic_cxr_jpg, roots.reports, selection=selection)
        self.imagenome = ChestImaGenome(roots.chest_imagenome)
        patient_splits = list(dict.fromkeys(self._patient_splits()))
        self.patients = assign_patients(patient_splits)
        self.num_leaked = len(leaked_patients(patient_splits))
        self.studies = self._select_studies()

    def is_allowed(self, pair: Pair) -> bool:
        """Under patient-safe, whether the split of a question is that of its patient."""
        if self.options.protocol == "published":
            return True
        split = self.patients[pair.main.patient]
        if pair.split != split:
            reason = f"splits: {pair.split} question of a patient who is in {split}"
            self.skipped.add(reason, pair.id)
        return pair.split == split

    def key(self, priors: str) -> str:
        """Sixteen hex digits that identify raw files, options and plan.

        Args:
            priors: the name of the remover of references to priors.
        """
        options = asdict(replace(self.options, workers=0, shard=None))
        digest = hashlib.sha256(f"{PLAN_VERSION} {options} {priors}".encode())
        for path in self._raw_tables():
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
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

    def _item(self, study: Study) -> ShardItem:
        report = None
        if self.mimic.reports.is_table:
            report = self.mimic.reports.text(study.patient, study.study) or ""
        path, size = self.mimic.image_path(study), self.mimic.sizes.get(study.id)
        return ShardItem(study, path, size, report)

    def _select_studies(self) -> dict[str, Study]:
        """The studies to store; checks that every image exists before the slow part starts."""
        studies: dict[str, Study] = {}
        missing = SkipLog()
        has_dicom = False
        for study in self.mimic.images.studies:
            if self.options.boxes == "gold" and study.id not in self._gold_images:
                continue
            path = self.mimic.image_path(study)
            if not path.is_file():
                if self.options.is_subset:
                    self.skipped.add("mimic_cxr: image file missing (subset)", study.id)
                    continue
                missing.add("missing", str(path))
            has_dicom = has_dicom or path.suffix == ".dcm"
            published = self.imagenome.split_of.get(study.id, study.split)
            is_published = self.options.protocol == "published"
            split = published if is_published else self.patients[study.patient]
            if split != published:
                reason = f"splits: study moved from {published} to {split} with its patient"
                self.noted.add(reason, study.id)
            studies[study.id] = replace(study, split=split)
        if missing.total:
            examples = ", ".join(missing.examples["missing"])
            raise ValueError(
                f"{missing.total} of {len(studies)} images are missing, for example {examples}: "
                "download them, or use --allow-missing-images to continue without them"
            )
        if has_dicom:
            check_extra("dicom", ["pydicom"], f"reading the DICOM images of {self.mimic.root}")
        if not studies:
            reasons = "; ".join([*self.skipped.lines(), *self.mimic.skipped.lines()])
            raise ValueError(f"no study of {self.mimic.root} can be stored: {reasons or 'empty'}")
        return studies

    def _patient_splits(self) -> Iterator[tuple[str, str]]:
        for dataset in (
            self.mimic,
            self.imagenome,
            self.questions,
            self.progressions,
            self.gold,
        ):
            if dataset is not None:
                yield from dataset.patient_splits()

    def _raw_tables(self) -> list[Path]:
        roots = self.roots
        silver = roots.chest_imagenome / "silver_dataset"
        folders = [roots.mimic_cxr_jpg, roots.medical_diff_vqa, silver / "splits", silver]
        if self.gold is not None:
            folders.append(roots.chest_imagenome / "gold_dataset")
        paths = [path for folder in folders for path in sorted(folder.glob("*")) if path.is_file()]
        if roots.ms_cxr_t is not None:
            paths += sorted(roots.ms_cxr_t.glob("*.csv"))
        return paths


def _open_gold(roots: DatasetRoots, options: PrepareOptions) -> ChestImaGenomeGold | None:
    """The gold annotations, where they exist or are requested."""
    if options.boxes == "gold" or ChestImaGenomeGold.is_in(roots.chest_imagenome):
        return ChestImaGenomeGold(roots.chest_imagenome)
    return None
