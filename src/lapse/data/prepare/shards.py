"""Shards: the studies of a future store, a thousand at a time, each file written whole or not.

    PARTS/shard-00003.npy            [n, S, S] uint8
    PARTS/shard-00003.parquet        n studies, as in the store
    PARTS/shard-00003.removed.jsonl  the sentences that spoke of earlier examinations
    PARTS/shard-00003.json           what was skipped and noted, hashes; written last

A shard depends on the raw files and the options alone, not on who makes it or when. So a run
that was killed goes on behind its last whole shard, and several machines can share the work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lapse.core.files import atomic_write, sha256_of, write_text
from lapse.core.types import Region, Study
from lapse.data.datasets.chest_imagenome import REGION_SETS, ChestImaGenome
from lapse.data.datasets.chest_imagenome_gold import NOT_IN_GOLD, ChestImaGenomeGold
from lapse.data.datasets.mimic_cxr import note_report
from lapse.data.datasets.report_files import ReportFiles
from lapse.data.io.skip_log import SkipLog
from lapse.data.io.worker_pool import Begin
from lapse.data.reports.prior_removal import Recorder, prior_remover
from lapse.data.store.letterbox import letterboxed
from lapse.data.store.store import study_of
from lapse.data.store.writer import STUDY_SCHEMA, study_row
from lapse.images import Stored, read_at

PIXELS, STUDIES, REMOVED, FACTS = ".npy", ".parquet", ".removed.jsonl", ".json"
HASHED = (PIXELS, STUDIES, REMOVED)


@dataclass(frozen=True, slots=True)
class Item:
    """One planned study: its split is decided; regions, report and pixels are still to come.

    `report` is None where the text lies in a file of its own. `size` is (height, width) as the
    metadata table tells it.
    """

    study: Study
    path: Path
    size: tuple[int, int] | None
    report: str | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """A task: the studies of one shard, in the order of the store."""

    index: int
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class ShardFacts:
    """What one shard holds: the content of its .json."""

    index: int
    key: str
    num_studies: int
    skipped: SkipLog
    noted: SkipLog
    hashes: dict[str, str]


@dataclass(frozen=True)
class ShardJob:
    """Makes shards; one is built in each process and reads nothing until it is called.

    Attributes:
        parts: folder of the shards.
        key: names raw files and options; shards of another key do not fit together.
        size: side of the stored images in pixels.
        resize: "squash" or "letterbox".
        priors: how references to earlier examinations are removed.
        imagenome: root of Chest ImaGenome.
        boxes: its "silver" or "gold" annotations.
        regions: which of its region names, "29" or "36".
        reports: root of the reports.
    """

    parts: Path
    key: str
    size: int
    resize: str
    priors: str
    imagenome: Path
    boxes: str
    regions: str
    reports: Path | None

    def __call__(self, task: Shard, refused: dict[str, str], begin: Begin) -> ShardFacts:
        """Make one shard, or find it there already."""
        known = read_facts(self.parts, task.index, self.key)
        if known is not None:
            return known
        made = _Making(self, task)
        for item in task.items:
            begin(item.study.id)
            made.add(item, refused.get(item.study.id))
        return made.finish()

    @cached_property
    def texts(self) -> ReportFiles:
        """The reports, opened once a process."""
        return ReportFiles(self.reports)

    @cached_property
    def remover(self) -> Recorder:
        """The remover of references to priors, opened once a process."""
        return Recorder(prior_remover(self.priors))

    @cached_property
    def graphs(self) -> ChestImaGenome | ChestImaGenomeGold:
        """The annotated regions, opened once a process; `sizes` grows with each shard."""
        names = REGION_SETS[self.regions]
        if self.boxes == "gold":
            names = tuple(name for name in names if name not in NOT_IN_GOLD)
            return ChestImaGenomeGold(self.imagenome, self.sizes, names, self.remover)
        return ChestImaGenome(self.imagenome, self.sizes, names, self.remover)

    @cached_property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """dicom_id -> (height, width) of the images of the shard at hand."""
        return {}


class _Making:
    """One shard while it grows in memory."""

    def __init__(self, job: ShardJob, task: Shard) -> None:
        self.job, self.index = job, task.index
        self.skipped, self.noted = SkipLog(), SkipLog()
        self.studies: list[Study] = []
        self.pixels: list[npt.NDArray[np.uint8]] = []
        self.removed: list[dict[str, str]] = []
        self.graphs = job.graphs
        job.sizes.clear()
        job.sizes.update({item.study.id: item.size for item in task.items if item.size})
        self.graphs.take_ledgers()
        self.texts_noted = SkipLog()

    def add(self, item: Item, why_refused: str | None) -> None:
        """One study, or the reason why it is not stored."""
        study = item.study
        try:
            if why_refused is not None:
                raise ValueError(f"{item.path}: {why_refused}")
            image = read_at(item.path, self.job.size, self.job.resize)
        except ValueError as error:
            self.skipped.add("mimic_cxr: unreadable image", str(error))
            return
        self._note_size(item, image)
        report, _ = self.job.remover.remove(self._text(item))
        self._note_removed(study, "report")
        regions = self._regions(study)
        self._note_removed(study, "regions")
        if self.job.resize == "letterbox":
            regions = tuple(self._letterboxed(region, image) for region in regions)
        self.studies.append(replace(study, report=report, regions=regions))
        self.pixels.append(image.pixels)

    def finish(self) -> ShardFacts:
        """Write the files, the facts last."""
        skipped, noted = self.skipped, self.noted
        noted.merge(self.texts_noted, "mimic_cxr: ")
        for ledger, more in zip((skipped, noted), self.graphs.take_ledgers(), strict=True):
            ledger.merge(more, f"{self.graphs.name}: ")
        parts, size = self.job.parts, self.job.size
        shape = (len(self.pixels), size, size)
        stacked = np.stack(self.pixels) if self.pixels else np.zeros(shape, np.uint8)
        rows = [study_row(study) for study in self.studies]
        with atomic_write(shard_file(parts, self.index, PIXELS)) as path, path.open("wb") as stream:
            np.save(stream, stacked, allow_pickle=False)
        with atomic_write(shard_file(parts, self.index, STUDIES)) as path:
            pq.write_table(pa.Table.from_pylist(rows, schema=STUDY_SCHEMA), path)
        lines = [json.dumps(item, ensure_ascii=False) + "\n" for item in self.removed]
        write_text(shard_file(parts, self.index, REMOVED), "".join(lines))
        hashes = {kind: sha256_of(shard_file(parts, self.index, kind)) for kind in HASHED}
        facts = ShardFacts(self.index, self.job.key, len(rows), skipped, noted, hashes)
        write_text(shard_file(parts, self.index, FACTS), json.dumps(_plain(facts)))
        return facts

    def _text(self, item: Item) -> str:
        if self.job.reports is None:
            return ""
        study, text = item.study, item.report
        try:
            if text is None:
                text = self.job.texts.text(study.patient, study.study)
        except ValueError as error:
            self.skipped.add("mimic_cxr: unreadable report (study kept without text)", str(error))
            return ""
        note_report(text, study.study, self.texts_noted)
        return text or ""

    def _regions(self, study: Study) -> tuple[Region, ...]:
        try:
            return self.graphs.regions(study.id)
        except ValueError as error:
            reason = f"{self.graphs.name}: unreadable scene graph (study kept without regions)"
            self.skipped.add(reason, str(error))
            return ()

    def _note_size(self, item: Item, image: Stored) -> None:
        found = (image.height, image.width)
        if item.size is not None and found != item.size:
            example = f"{item.study.id} is {found}, metadata says {item.size}"
            self.noted.add("mimic_cxr: image size differs from the metadata", example)

    def _letterboxed(self, region: Region, image: Stored) -> Region:
        if region.box is None:
            return region
        box = letterboxed(region.box, image.height, image.width, self.job.size)
        return replace(region, box=box)

    def _note_removed(self, study: Study, where: str) -> None:
        gone = self.job.remover.take()
        if gone:
            reason = "priors: sentence or clause removed"
            self.noted.add(reason, f"{len(gone)} in {study.id}", len(gone))
        common = {"image": study.id, "where": where}
        self.removed += [{**common, "removed": text} for text in gone]


def shard_file(parts: Path, index: int, kind: str) -> Path:
    """The path of one file of a shard."""
    return parts / f"shard-{index:05d}{kind}"


def read_facts(parts: Path, index: int, key: str) -> ShardFacts | None:
    """The facts of a finished shard, None where it is not finished.

    Raises:
        ValueError: the shard was made from other files or with other options.
    """
    path = shard_file(parts, index, FACTS)
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        for name in ("skipped", "noted"):
            values[name] = SkipLog.from_plain(values[name])
        facts = ShardFacts(**values)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({error}): remove it and run again") from error
    if facts.key != key:
        raise ValueError(
            f"{path} was made from other raw files or with other options: remove {parts}, or give "
            "another output folder"
        )
    return facts


def read_shard(parts: Path, facts: ShardFacts) -> Iterator[tuple[Study, npt.NDArray[np.uint8]]]:
    """The studies of a finished shard with their pixels [S, S] uint8.

    Raises:
        ValueError: a file is missing or is not what was written.
    """
    for kind, wanted in facts.hashes.items():
        path = shard_file(parts, facts.index, kind)
        if not path.is_file() or sha256_of(path) != wanted:
            raise ValueError(
                f"{path} is missing or damaged: remove {shard_file(parts, facts.index, FACTS)} "
                "and run again, which makes this shard anew"
            )
    if not facts.num_studies:
        return
    pixels = np.load(shard_file(parts, facts.index, PIXELS), mmap_mode="r", allow_pickle=False)
    rows = pq.read_table(shard_file(parts, facts.index, STUDIES)).to_pylist()
    for row, image in zip(rows, pixels, strict=True):
        yield study_of(row), image


def read_removed(parts: Path, facts: ShardFacts) -> str:
    """The lines of what was removed from the texts of a shard."""
    return shard_file(parts, facts.index, REMOVED).read_text(encoding="utf-8")


def _plain(facts: ShardFacts) -> dict[str, Any]:
    return {
        "index": facts.index,
        "key": facts.key,
        "num_studies": facts.num_studies,
        "skipped": facts.skipped.to_plain(),
        "noted": facts.noted.to_plain(),
        "hashes": facts.hashes,
    }
