"""What a store will hold, decided before any image is opened: who, from where, in which split.

    tables --> images to read --> the split of each --> shards of a thousand studies
                    |
                    '--> the key: names raw files, options and plan; equal keys, equal shards

The same raw files and options give the same plan on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

from lapse.core.types import Pair, Study
from lapse.data.datasets.chest_imagenome import ChestImaGenome
from lapse.data.datasets.chest_imagenome_gold import ChestImaGenomeGold
from lapse.data.datasets.discovery import Roots
from lapse.data.datasets.mimic_cxr import Choice, MimicCxr
from lapse.data.datasets.mimic_diff_vqa import MimicDiffVqa
from lapse.data.datasets.ms_cxr_t import MsCxrT
from lapse.data.datasets.splits import assign_patients, leaked_patients
from lapse.data.io.skip_log import SkipLog
from lapse.data.prepare.shards import Item, Shard

PLAN_VERSION = 1  # a new number makes old shards unfit


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Which studies, and how they are cut into shards; see `prepare`."""

    protocol: str = "patient-safe"
    frontals: str = "first"
    boxes: str = "silver"
    is_subset: bool = False
    shard_size: int = 1024


class Plan:
    """The open data sets, and the studies to store in order.

    Args:
        roots: the raw trees.
        options: which studies.

    Attributes:
        patients: patient -> split under patient-safe.
        num_leaked: patients whom the published splits both train and evaluate on.
        num_studies: studies of the plan.
        skipped, noted: what the tables alone already say.

    Raises:
        ValueError: a table is missing or damaged, an image is missing without `is_subset`, or
            nothing is left.
    """

    def __init__(self, roots: Roots, options: PlanOptions) -> None:
        self.roots, self.options = roots, options
        self.skipped, self.noted = SkipLog(), SkipLog()
        self.questions = MimicDiffVqa(roots.medical_diff_vqa)
        self.progressions = MsCxrT(roots.ms_cxr_t) if roots.ms_cxr_t is not None else None
        self.gold = _open_gold(roots, options)
        self._gold_images = frozenset(self.gold.images) if self.gold else frozenset[str]()
        also = self._gold_images
        if self.progressions is not None:
            also |= self.progressions.images
        choice = Choice(options.frontals, self.questions.images, also)
        self.mimic = MimicCxr(roots.mimic_cxr_jpg, roots.reports, choice=choice)
        self.imagenome = ChestImaGenome(roots.chest_imagenome, {})
        self.patients = assign_patients(self._words())
        self.num_leaked = len(leaked_patients(self._words()))
        self.num_studies, self._digest = self._survey()

    def own_split(self, study: Study) -> str:
        """The published split of a study: that of Chest ImaGenome, else of MIMIC-CXR."""
        return self.imagenome.split_of.get(study.id) or study.split

    def split_of(self, study: Study) -> str:
        """The split of a study under the protocol."""
        is_published = self.options.protocol == "published"
        return self.own_split(study) if is_published else self.patients[study.patient]

    def study(self, number: int) -> Study:
        """The planned study of a frontal image, without its report, in its split."""
        frontals = self.mimic.frontals
        study = frontals.study(number, self.mimic.split_of[frontals.dicoms[number]])
        return replace(study, split=self.split_of(study))

    def is_allowed(self, pair: Pair) -> bool:
        """Under patient-safe a question stays where its own split is its patient's split."""
        if self.options.protocol == "published":
            return True
        split = self.patients[pair.main.patient]
        if pair.split != split:
            reason = f"splits: {pair.split} question of a patient who is in {split}"
            self.skipped.add(reason, pair.id)
        return pair.split == split

    def key(self, settings: Mapping[str, str]) -> str:
        """Sixteen hex digits that name raw files, options, settings and plan."""
        digest = hashlib.sha256(f"{PLAN_VERSION} {asdict(self.options)}".encode())
        for path in self._raw_tables():
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        for name in sorted(settings):
            digest.update(f"{name} {settings[name]}\n".encode())
        digest.update(self._digest)
        return digest.hexdigest()[:16]

    @property
    def num_shards(self) -> int:
        """How many shards the plan has."""
        return -(-self.num_studies // self.options.shard_size)

    def shards(self, wanted: Sequence[int]) -> Iterator[Shard]:
        """The shards of these numbers, made one by one."""
        chosen, size = set(wanted), self.options.shard_size
        items: list[Item] = []
        number = -1
        for number, study in enumerate(self._studies(is_noting=False)):
            index, place = divmod(number, size)
            if place == 0 and items:
                yield Shard(index - 1, tuple(items))
                items = []
            if index in chosen:
                items.append(self._item(study))
        if items:
            yield Shard(number // size, tuple(items))

    def _item(self, study: Study) -> Item:
        report = None
        if self.mimic.reports.is_table:
            report = self.mimic.reports.text(study.patient, study.study) or ""
        path, size = self.mimic.image_path(study), self.mimic.sizes.get(study.id)
        return Item(replace(study, split=self.split_of(study)), path, size, report)

    def _studies(self, *, is_noting: bool) -> Iterator[Study]:
        """The studies of the plan; without noting, nothing is counted a second time."""
        skipped, noted = self.mimic.skipped, self.mimic.noted
        if not is_noting:
            self.mimic.skipped, self.mimic.noted = SkipLog(), SkipLog()
        try:
            for study in self.mimic.plan():
                if self.options.boxes == "gold" and study.id not in self._gold_images:
                    continue
                if self.options.is_subset and not self.mimic.image_path(study).is_file():
                    if is_noting:
                        self.skipped.add("mimic_cxr: image is not there (subset)", study.id)
                    continue
                yield study
        finally:
            self.mimic.skipped, self.mimic.noted = skipped, noted

    def _survey(self) -> tuple[int, bytes]:
        """Count and hash the plan, and look for every image before the long work begins."""
        digest = hashlib.sha256()
        number, missing = 0, SkipLog()
        for study in self._studies(is_noting=True):
            number += 1
            if not self.options.is_subset and not self.mimic.image_path(study).is_file():
                missing.add("missing", str(self.mimic.image_path(study)))
            split, own = self.split_of(study), self.own_split(study)
            if split != own:
                reason = f"splits: study moved from {own} to {split} with its patient"
                self.noted.add(reason, study.id)
            digest.update(f"{study.id} {study.study} {study.patient} {split}\n".encode())
        if missing.total:
            examples = ", ".join(missing.examples["missing"])
            raise ValueError(
                f"{missing.total} of {number} images are missing, for example {examples}: download "
                "them, or use --allow-missing-images to continue without them"
            )
        if number == 0:
            reasons = "; ".join([*self.skipped.lines(), *self.mimic.skipped.lines()])
            raise ValueError(f"no study of {self.mimic.root} can be stored: {reasons or 'empty'}")
        return number, digest.digest()

    def _words(self) -> Iterable[tuple[str, str]]:
        words = [
            self.mimic.patient_words(),
            self.imagenome.patient_words(),
            self.questions.patient_words(),
        ]
        if self.progressions is not None:
            words.append(self.progressions.patient_words())
        if self.gold is not None:
            words.append(self.gold.patient_words())
        return chain.from_iterable(words)

    def _raw_tables(self) -> list[Path]:
        roots = self.roots
        silver = roots.chest_imagenome / "silver_dataset"
        places = [roots.mimic_cxr_jpg, roots.medical_diff_vqa, silver / "splits", silver]
        if self.gold is not None:
            places.append(roots.chest_imagenome / "gold_dataset")
        found = [path for place in places for path in sorted(place.glob("*")) if path.is_file()]
        if roots.ms_cxr_t is not None:
            found += sorted(roots.ms_cxr_t.glob("*.csv"))
        return found


def _open_gold(roots: Roots, options: PlanOptions) -> ChestImaGenomeGold | None:
    """The gold annotations, where they are there or asked for."""
    if options.boxes == "gold" or ChestImaGenomeGold.is_in(roots.chest_imagenome):
        return ChestImaGenomeGold(roots.chest_imagenome, {})
    return None
