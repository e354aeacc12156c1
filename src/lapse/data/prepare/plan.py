"""The plan of the public datasets: MIMIC-CXR, Chest ImaGenome, Medical-Diff-VQA, MS-CXR-T."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from lapse.core.annotation_names import REGION_SETS
from lapse.core.types import Pair, Study
from lapse.data.datasets.chest_imagenome import ChestImaGenome
from lapse.data.datasets.chest_imagenome_gold import ChestImaGenomeGold
from lapse.data.datasets.discovery import DatasetRoots
from lapse.data.datasets.image_files import patient_folder
from lapse.data.datasets.mimic_cxr import ImageSelection, MimicCxr
from lapse.data.datasets.mimic_diff_vqa import MimicDiffVqa
from lapse.data.datasets.ms_cxr_t import MsCxrT
from lapse.data.datasets.splits import assign_patients, leaked_patients
from lapse.data.prepare.options import PrepareOptions, PrepareReport
from lapse.data.prepare.shards import ShardItem
from lapse.data.prepare.sources import SourceCount, even_sample
from lapse.data.prepare.study_plan import StudyPlan


class Plan(StudyPlan):
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

    split_columns = ("mimic_cxr", "chest_imagenome")
    roots: DatasetRoots

    def __init__(self, roots: DatasetRoots, options: PrepareOptions) -> None:
        super().__init__(roots, options)
        self.root = roots.mimic_cxr_jpg
        self.questions = MimicDiffVqa(roots.medical_diff_vqa)
        self.progressions = MsCxrT(roots.ms_cxr_t) if roots.ms_cxr_t is not None else None
        has_gold = options.boxes == "gold" or ChestImaGenomeGold.is_in(roots.chest_imagenome)
        self.gold = ChestImaGenomeGold(roots.chest_imagenome) if has_gold else None
        self._gold_images = frozenset(self.gold.images if self.gold else ())
        extra = self._gold_images | (self.progressions.images if self.progressions else set())
        selection = ImageSelection(options.frontals, self.questions.images, extra)
        self.mimic = MimicCxr(roots.mimic_cxr_jpg, roots.reports, selection=selection)
        self.imagenome = ChestImaGenome(roots.chest_imagenome)
        tables = (self.mimic, self.imagenome, self.questions, self.progressions, self.gold)
        rows = chain.from_iterable(table.patient_splits() for table in tables if table is not None)
        patient_splits = list(dict.fromkeys(rows))
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

    def pairs(self, stored: Mapping[str, Study]) -> Iterator[Pair]:
        """The questions of Medical-Diff-VQA, then those of MS-CXR-T; none with gold boxes."""
        if self.options.boxes == "gold":
            return
        by_study = {
            number: stored[study.id]
            for number, study in self.mimic.images.by_study.items()
            if study.id in stored
        }
        for pair in self.questions.pairs(by_study):
            if self.is_allowed(pair):
                yield pair
        if self.progressions is not None:
            yield from self.progressions.pairs(stored)

    def split_rows(self) -> Iterator[tuple[Study, tuple[str, ...]]]:
        """Every image with its published splits."""
        for study in self.mimic.images.studies:
            yield study, (study.split, self.imagenome.split_of.get(study.id, ""))

    def complete(self, report: PrepareReport) -> None:
        """Add the counts, the releases and the logs of the datasets."""
        report.read = {"images": self.mimic.images.num_rows, "questions": self.questions.num_rows}
        report.release = (
            f"mimic-cxr-jpg {self.mimic.release}, chest-imagenome 1.0.0, "
            f"medical-diff-vqa {self.questions.release}"
        )
        if self.progressions is not None:
            report.release += ", ms-cxr-t 1.0.0"
        report.skipped.merge(self.skipped)
        report.noted.merge(self.noted)
        for dataset in (self.mimic, self.questions, self.progressions):
            if dataset is not None:
                report.skipped.merge(dataset.skipped, f"{dataset.name}: ")
                report.noted.merge(dataset.noted, f"{dataset.name}: ")

    def source_counts(self) -> Iterator[SourceCount]:
        """Frontal images, reports and regions of a sample, questions, progressions."""
        images = self.mimic.images
        yield SourceCount(
            "studies with a frontal image, a date and a split",
            len(images.by_study),
            images.num_studies,
            "check the columns ViewPosition, StudyDate and StudyTime, and the split table",
        )
        sample = even_sample(list(self.studies.values()))
        yield SourceCount(
            "reports with findings or an impression, in a sample",
            sum(map(self._has_report, sample)),
            len(sample),
            f"check the files or the table in {self.roots.reports}, and the section headers",
        )
        yield from self._region_counts(sample)
        if self.options.boxes != "gold":
            yield from self._question_counts()

    def _has_report(self, study: Study) -> bool:
        try:
            report = self.mimic.reports.read(study.patient, study.study)
        except ValueError:
            return False
        return report is not None and report.has_sections

    def _region_counts(self, sample: Sequence[Study]) -> Iterator[SourceCount]:
        root, names = self.roots.chest_imagenome, REGION_SETS[self.options.regions]
        is_gold = self.options.boxes == "gold"
        dataset = ChestImaGenomeGold(root) if is_gold else ChestImaGenome(root, names)
        num_boxes = num_phrases = 0
        for study in sample:
            try:
                regions = dataset.regions(study.id, self.mimic.images.sizes.get(study.id))
            except ValueError:
                continue
            num_boxes += any(region.box is not None for region in regions)
            num_phrases += any(region.phrases for region in regions)
        hint = f"check the annotations in {root}"
        yield SourceCount("images with a box, in a sample", num_boxes, len(sample), hint)
        yield SourceCount("images with a described region", num_phrases, len(sample), hint)

    def _question_counts(self) -> Iterator[SourceCount]:
        numbers = self.mimic.images.by_study.items()
        by_study = {number: study for number, study in numbers if study.id in self.studies}
        questions = MimicDiffVqa(self.roots.medical_diff_vqa)  # with logs that are not reported
        hint = f"check ids, question_type and studies in {self.roots.medical_diff_vqa}"
        for category, (count, expected) in questions.count_joined(by_study).items():
            if category in ("", "difference"):
                what = f"{category} questions whose studies are usable".strip()
                yield SourceCount(what, count, expected, hint)
        if self.progressions is not None:
            progressions = MsCxrT(self.progressions.root)
            count = sum(1 for _ in progressions.pairs(self.studies))
            hint = f"check the ids in {self.progressions.root}"
            what = "rows of MS-CXR-T whose images are usable"
            yield SourceCount(what, count, progressions.num_rows, hint)

    @property
    def box_source(self) -> tuple[str, int]:
        """Silver or gold, 29 or 36."""
        return self.options.boxes, int(self.options.regions)

    def _item(self, study: Study) -> ShardItem:
        path, size = self.mimic.image_path(study), self.mimic.images.sizes.get(study.id)
        assert path is not None, "a planned study has an image"
        if self.mimic.reports.table is None:
            return ShardItem(study, path, size)
        report = self.mimic.reports.read(study.patient, study.study)
        if report is None:
            return ShardItem(study, path, size, "")
        return ShardItem(study, path, size, report.text, report.impression)

    def _expected_path(self, study: Study) -> Path:
        return self.mimic.root / patient_folder(study.patient) / f"s{study.study}/{study.image}.jpg"

    def _select_studies(self) -> dict[str, Study]:
        """The studies to store; checks that every image exists before the slow part starts."""
        requested = (
            (study, self.mimic.image_path(study))
            for study in self.mimic.images.studies
            if self.options.boxes != "gold" or study.id in self._gold_images
        )
        studies = self._with_images(requested, self.mimic)
        for name, study in studies.items():
            published = self.imagenome.split_of.get(study.id, study.split)
            is_published = self.options.protocol == "published"
            split = published if is_published else self.patients[study.patient]
            if split != published:
                reason = f"splits: study moved from {published} to {split} with its patient"
                self.noted.add(reason, study.id)
            studies[name] = replace(study, split=split)
        return studies

    def _raw_lines(self) -> Iterator[str]:
        roots = self.roots
        silver = roots.chest_imagenome / "silver_dataset"
        folders = [roots.mimic_cxr_jpg, roots.medical_diff_vqa, silver / "splits", silver]
        if self.gold is not None:
            folders.append(roots.chest_imagenome / "gold_dataset")
        paths = [
            path
            for folder in folders
            for path in sorted(folder.glob("*"))
            if path.is_file() and not path.name.startswith(".")
        ]
        if roots.ms_cxr_t is not None:
            paths += sorted(roots.ms_cxr_t.glob("*.csv"))
        for path in paths:
            yield f"{path.name} {path.stat().st_size}\n"
