"""Shards: the studies of a future store in groups of a thousand, each file written atomically.

    SHARDS/shard-00003.npy            [n, S, S] uint8
    SHARDS/shard-00003.parquet        n studies, as in the store
    SHARDS/shard-00003.removed.jsonl  the sentences that referred to earlier examinations
    SHARDS/shard-00003.json           ShardInfo: skip logs and hashes; written last

A shard depends on the raw files and the options alone, not on the machine or the time. So an
interrupted run continues after its last complete shard, and several machines can share the work.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lapse.core.annotation_names import NOT_IN_GOLD, REGION_SETS
from lapse.core.files import atomic_write, sha256_of, write_text
from lapse.core.types import Region, Study
from lapse.data.datasets.chest_imagenome import ChestImaGenome
from lapse.data.datasets.chest_imagenome_gold import ChestImaGenomeGold
from lapse.data.datasets.discovery import DatasetRoots
from lapse.data.datasets.mimic_cxr import MimicCxr, note_report
from lapse.data.datasets.plain_boxes import BoxRow
from lapse.data.datasets.plain_regions import PlainRegions
from lapse.data.datasets.plain_table import PlainTable
from lapse.data.datasets.release import FilmRoots
from lapse.data.datasets.report_files import ReportFiles
from lapse.data.io.skip_log import SkipLog
from lapse.data.io.split_archive import Archives
from lapse.data.io.worker_pool import ItemCallback
from lapse.data.prepare.options import PrepareOptions
from lapse.data.reports.prior_removal import PriorRemover, prior_remover
from lapse.data.store.letterbox import letterboxed
from lapse.data.store.store import study_of
from lapse.data.store.writer import STUDY_SCHEMA, study_row
from lapse.images import StoredImage, read_at

PIXELS, STUDIES, REMOVED, INFO = ".npy", ".parquet", ".removed.jsonl", ".json"
HASHED = (PIXELS, STUDIES, REMOVED)


@dataclass(frozen=True, slots=True)
class ShardItem:
    """A planned study in its split, and where its image is; regions and pixels are still to come.

    `report` is None if the text has its own file. `size` is the (height, width) of the
    metadata table. `boxes` are those of own films and of releases.
    """

    study: Study
    path: Path
    size: tuple[int, int] | None
    report: str | None = None
    impression: str = ""
    boxes: tuple[BoxRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Shard:
    """A task: the studies of one shard, in the order of the store."""

    index: int
    items: tuple[ShardItem, ...]


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """What one shard holds: the content of its .json."""

    index: int
    key: str
    num_studies: int
    skipped: SkipLog
    noted: SkipLog
    hashes: dict[str, str]


@dataclass(frozen=True)
class ShardJob:
    """Makes shards. Each process has a copy, which opens the datasets at its first call.

    Attributes:
        folder: folder of the shards.
        key: identifies raw files and options; shards with other keys are refused.
        roots: the raw datasets.
        options: how images, reports and regions are read.
    """

    folder: Path
    key: str
    roots: DatasetRoots | FilmRoots
    options: PrepareOptions

    def __call__(self, task: Shard, rejected: dict[str, str], on_item: ItemCallback) -> ShardInfo:
        """Make a shard, unless it exists already."""
        existing = read_shard_info(self.folder, task.index, self.key)
        if existing is not None:
            return existing
        builder = _ShardBuilder(self, task)
        for item in task.items:
            on_item(item.study.id)
            builder.add(item, rejected.get(item.study.id))
        return builder.finish()

    @property
    def source(self) -> str:
        """The dataset of the images and reports, for the reasons in the logs."""
        return MimicCxr.name if isinstance(self.roots, DatasetRoots) else PlainTable.name

    @cached_property
    def report_files(self) -> ReportFiles:
        """The reports, opened once per process."""
        return ReportFiles(self.roots.reports)

    @cached_property
    def archives(self) -> Archives:
        """The archives of images, opened once per process."""
        return Archives()

    @cached_property
    def remover(self) -> PriorRemover:
        """The remover of references to priors, opened once per process."""
        return prior_remover(self.options.priors)

    @cached_property
    def annotations(self) -> ChestImaGenome | ChestImaGenomeGold | PlainRegions:
        """The annotated regions, opened once per process."""
        if not isinstance(self.roots, DatasetRoots):
            return PlainRegions(self.remover)
        root, names = self.roots.chest_imagenome, REGION_SETS[self.options.regions]
        if self.options.boxes == "gold":
            names = tuple(name for name in names if name not in NOT_IN_GOLD)
            return ChestImaGenomeGold(root, names, self.remover)
        return ChestImaGenome(root, names, self.remover)


class _ShardBuilder:
    """One shard while it is collected in memory."""

    def __init__(self, job: ShardJob, task: Shard) -> None:
        self.job, self.index = job, task.index
        self.skipped, self.noted, self.reports_noted = SkipLog(), SkipLog(), SkipLog()
        self.studies: list[Study] = []
        self.removed: list[dict[str, str]] = []
        size = job.options.size
        self.pixels = np.empty((len(task.items), size, size), np.uint8)
        job.annotations.take_logs()  # an interrupted shard may have left entries

    def add(self, item: ShardItem, rejection: str | None) -> None:
        """Add a study, or count the reason why it cannot be stored."""
        study, options = item.study, self.job.options
        try:
            if rejection is not None:
                raise ValueError(f"{item.path}: {rejection}")
            data = self.job.archives.read(item.path)
            image = read_at(item.path, options.size, options.processing, data=data)
        except ValueError as error:
            self.skipped.add(f"{self.job.source}: unreadable image", str(error))
            return
        self._note_image(item, image)
        text, impression = self._report(item)
        report, removed = self.job.remover.remove(text)
        self._note_removed(study, "report", removed)
        impression, _ = self.job.remover.remove(impression)  # counted with the report
        self.job.annotations.removed.clear()
        regions = self._regions(item, image)
        self._note_removed(study, "regions", self.job.annotations.removed)
        if options.resize == "letterbox":
            regions = tuple(self._letterboxed(region, image) for region in regions)
        self.pixels[len(self.studies)] = image.pixels
        impression = impression if report.endswith(impression) else ""
        study = replace(study, report=report, regions=regions, impression=impression)
        self.studies.append(study)

    def finish(self) -> ShardInfo:
        """Write the files, the .json last."""
        annotations = self.job.annotations
        self.noted.merge(self.reports_noted, f"{self.job.source}: ")
        for log, more in zip((self.skipped, self.noted), annotations.take_logs(), strict=True):
            log.merge(more, f"{annotations.name}: ")
        num_studies = len(self.studies)
        with atomic_write(self._path(PIXELS)) as path, path.open("wb") as stream:
            np.save(stream, self.pixels[:num_studies], allow_pickle=False)
        rows = [study_row(study) for study in self.studies]
        with atomic_write(self._path(STUDIES)) as path:
            pq.write_table(pa.Table.from_pylist(rows, schema=STUDY_SCHEMA), path)
        lines = [json.dumps(item, ensure_ascii=False) + "\n" for item in self.removed]
        write_text(self._path(REMOVED), "".join(lines))
        hashes = {kind: sha256_of(self._path(kind)) for kind in HASHED}
        info = ShardInfo(self.index, self.job.key, num_studies, self.skipped, self.noted, hashes)
        logs = {"skipped": self.skipped.to_json(), "noted": self.noted.to_json()}
        write_text(self._path(INFO), json.dumps({**asdict(info), **logs}))
        return info

    def _path(self, kind: str) -> Path:
        return shard_file(self.job.folder, self.index, kind)

    def _report(self, item: ShardItem) -> tuple[str, str]:
        """The text of the report, and its impression."""
        study, text, impression = item.study, item.report, item.impression
        try:
            if text is None:
                report = self.job.report_files.read(study.patient, study.study)
                if report is not None:
                    text, impression = report.text, report.impression
        except ValueError as error:
            reason = f"{self.job.source}: unreadable report (study kept without text)"
            self.skipped.add(reason, str(error))
            return "", ""
        note_report(text, study.study, self.reports_noted)
        return text or "", impression

    def _regions(self, item: ShardItem, image: StoredImage) -> tuple[Region, ...]:
        annotations = self.job.annotations
        if isinstance(annotations, PlainRegions):  # in pixels of the file itself, or fractions
            size = image.height, image.width
            return annotations.regions(item.study.id, item.boxes, size)
        try:
            return annotations.regions(item.study.id, item.size)
        except ValueError as error:
            reason = f"{annotations.name}: unreadable scene graph (study kept without regions)"
            self.skipped.add(reason, str(error))
            return ()

    def _note_image(self, item: ShardItem, image: StoredImage) -> None:
        for reason in image.notes:
            self.noted.add(f"{self.job.source}: {reason}", item.study.id)
        size = (image.height, image.width)
        if item.size is not None and size != item.size:
            example = f"{item.study.id} is {size}, metadata says {item.size}"
            self.noted.add(f"{self.job.source}: image size differs from the metadata", example)

    def _letterboxed(self, region: Region, image: StoredImage) -> Region:
        if region.box is None:
            return region
        box = letterboxed(region.box, image.height, image.width, self.job.options.size)
        return replace(region, box=box)

    def _note_removed(self, study: Study, where: str, removed: Sequence[str]) -> None:
        if removed:
            reason = "priors: sentence or clause removed"
            self.noted.add(reason, f"{len(removed)} in {study.id}", len(removed))
        self.removed += [{"image": study.id, "where": where, "removed": text} for text in removed]


def shard_file(folder: Path, index: int, kind: str) -> Path:
    """The path of one file of a shard."""
    return folder / f"shard-{index:05d}{kind}"


def read_shard_info(folder: Path, index: int, key: str) -> ShardInfo | None:
    """The .json of a shard, None if the shard is not complete.

    Raises:
        ValueError: the shard was made from other files or with other options.
    """
    path = shard_file(folder, index, INFO)
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        for name in ("skipped", "noted"):
            values[name] = SkipLog.from_json(values[name])
        info = ShardInfo(**values)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({error}): remove it and run again") from error
    if info.key != key:
        raise ValueError(
            f"{path} was made from other raw files or with other options: remove {folder}, or give "
            "another output folder"
        )
    return info


def read_shard(folder: Path, info: ShardInfo) -> Iterator[tuple[Study, npt.NDArray[np.uint8]]]:
    """The studies of a complete shard with their pixels [S, S] uint8.

    Raises:
        ValueError: a file is missing or differs from what was written.
    """
    for kind, digest in info.hashes.items():
        path = shard_file(folder, info.index, kind)
        if not path.is_file() or sha256_of(path) != digest:
            raise ValueError(
                f"{path} is missing or damaged: remove {shard_file(folder, info.index, INFO)} "
                "and run again to make this shard again"
            )
    if not info.num_studies:
        return
    rows = pq.read_table(shard_file(folder, info.index, STUDIES)).to_pylist()
    images = _read_images(shard_file(folder, info.index, PIXELS))
    for row, image in zip(rows, images, strict=True):
        yield study_of(row), image


def _read_images(path: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """The images of a .npy file, one in memory at a time; a mapped file would count as a whole."""
    with path.open("rb") as stream:
        np.lib.format.read_magic(stream)
        (count, *shape), _, dtype = np.lib.format.read_array_header_1_0(stream)
        for _ in range(count):
            yield np.fromfile(stream, dtype, math.prod(shape)).reshape(shape)


def read_removed(folder: Path, info: ShardInfo) -> str:
    """The lines about the texts removed from a shard."""
    return shard_file(folder, info.index, REMOVED).read_text(encoding="utf-8")
