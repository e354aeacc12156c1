"""Raw datasets -> store: read, join, split, decode, check for leaks, write (`lapse prepare`).

    tables --> plan --> shards, each made by one process and kept if a run is interrupted
                           |
                           '--> merged in order --> store --> leak check
    Medical-Diff-VQA, MS-CXR-T --> joined --> pairs ---'

Records that are not used are counted by reason, with examples; nothing is repaired silently. A
shard holds a thousand studies and is the unit of resuming and of sharing work between machines.
"""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lapse.core.files import writer_lock
from lapse.core.progress import Progress, no_progress
from lapse.core.types import Study
from lapse.data.datasets.discovery import DatasetRoots, find_roots
from lapse.data.datasets.release import FilmRoots, default_intensity
from lapse.data.datasets.splits import protocol_hash
from lapse.data.io.skip_log import SkipLog
from lapse.data.io.worker_pool import run_inline, run_isolated
from lapse.data.prepare.dask_engine import check_dask, run_on_dask
from lapse.data.prepare.options import PrepareOptions, PrepareReport
from lapse.data.prepare.shards import (
    ShardInfo,
    ShardJob,
    read_removed,
    read_shard,
    read_shard_info,
)
from lapse.data.prepare.sources import SourceCount, check_sources
from lapse.data.prepare.study_plan import StudyPlan
from lapse.data.prepare.table_plan import make_plan
from lapse.data.reports.prior_removal import prior_remover
from lapse.data.store.info import REMOVED, SPLIT_TABLE, UNANSWERED, Origin
from lapse.data.store.leakage import check_store_for_leaks
from lapse.data.store.writer import StoreWriter, check_free

__all__ = ["PrepareOptions", "find_roots", "prepare"]

SPLIT_HEADER = ("subject_id", "study_id", "dicom_id", "split")
logger = logging.getLogger(__name__)


def prepare(
    roots: DatasetRoots | FilmRoots,
    out: Path,
    options: PrepareOptions,
    *,
    progress: Progress = no_progress,
) -> PrepareReport:
    """Write the store of the raw datasets, or some of its shards.

    Shards in `<out>.shards`, from an interrupted run or from another machine, are reused. The
    folder is removed when the store is complete.

    Args:
        roots: the raw datasets, from `find_roots`, own films, from `find_table_roots`, or another
            release, from `find_release`.
        out: the new store; it must not exist.
        options: how the store is made.
        progress: called with (images done, images in all shards of this run).

    Raises:
        ValueError: a table is missing or damaged, images are missing, a source delivers less than
            half of what it should, `out` exists, the shards belong to other data or options, no
            study can be stored, the protocol is patient-safe and the written records leak, or
            there is no Dask scheduler.
    """
    check_free(out)
    if options.dask:
        check_dask(options.dask)
    return _PrepareRun(roots, out, options, progress).run()


class _PrepareRun:
    """One run of `prepare`: the plan, the shards, and the report."""

    def __init__(
        self,
        roots: DatasetRoots | FilmRoots,
        out: Path,
        options: PrepareOptions,
        progress: Progress,
    ) -> None:
        options = replace(options, intensity=options.intensity or default_intensity(roots))
        self.out, self.options, self.progress = out, options, progress
        self.plan = make_plan(roots, options)
        check_sources(self.plan.source_counts(), is_subset=options.is_subset)
        self.priors = prior_remover(options.priors).name
        self.source = roots.describe()
        self.folder = out.with_name(f"{out.name}.shards")
        self.job = ShardJob(self.folder, self.plan.key(self.priors), roots, options)
        self.report = PrepareReport(
            options.protocol,
            leaked_patients=self.plan.num_leaked,
            num_shards=self.plan.num_shards,
        )

    def run(self) -> PrepareReport:
        """Make the missing shards, then the store.

        One process writes a store. Those that make other shards of it have their own locks.
        """
        shard = self.options.shard
        name = "lock" if shard is None else f"lock-{shard[0]}-of-{shard[1]}"
        with writer_lock(self.folder / name, self.out):
            return self._run()

    def _run(self) -> PrepareReport:
        self._make_shards()
        if self.options.shard is not None:
            return self.report
        with StoreWriter(self.out, self.options.size) as writer:
            shards = self._complete_shards()
            stored = self._merge(writer, shards)
            self._write_pairs(writer, stored)
            writer.add_file(SPLIT_TABLE, _csv_lines(_split_rows(self.plan, stored)))
            unanswered = list(self.plan.unanswered(stored))
            if unanswered:
                rows = [("reference", "main", "split"), *unanswered]
                writer.add_file(UNANSWERED, _csv_lines(rows))
            writer.add_file(REMOVED, (read_removed(self.folder, info) for info in shards))
            self.plan.complete(self.report)
            if unanswered:
                self.report.read["pairs without an answer"] = len(unanswered)
            check = check_store_for_leaks if self.options.protocol == "patient-safe" else None
            self.report.kept = writer.finish(self._origin(), check=check).counts
        _remove_shards(self.folder)
        return self.report

    def _make_shards(self) -> None:
        report, options, plan = self.report, self.options, self.plan
        first, step = (1, 1) if options.shard is None else options.shard
        indices = range(first - 1, plan.num_shards, step)
        missing = [
            index for index in indices if read_shard_info(self.folder, index, self.job.key) is None
        ]
        report.num_made = len(missing)
        if len(missing) < len(indices):
            logger.info("%d of %d shards exist already", len(indices) - len(missing), len(indices))
        if not missing:
            return
        size, num_studies = options.shard_size, len(plan.studies)
        total = sum(min(size, num_studies - index * size) for index in missing)
        done = 0

        def on_item(_: str) -> None:
            nonlocal done
            done = min(done + 1, total)  # the items of a repeated task are counted twice
            self.progress(done, total)

        start = time.perf_counter()
        tasks = plan.shards(missing)
        if options.dask:
            results = run_on_dask(
                self.job,
                tasks,
                address=options.dask,
                num_workers=options.workers,
                on_item=on_item,
            )
        elif options.workers == 0:
            results = run_inline(self.job, tasks, on_item)
        else:
            results = run_isolated(self.job, tasks, num_workers=options.workers, on_item=on_item)
        for _ in results:
            pass
        report.images_per_second = total / max(1e-9, time.perf_counter() - start)

    def _complete_shards(self) -> list[ShardInfo]:
        shards = []
        for index in range(self.plan.num_shards):
            info = read_shard_info(self.folder, index, self.job.key)
            assert info is not None, "a shard of this run is missing"
            shards.append(info)
        num_stored = sum(info.num_studies for info in shards)
        skipped = SkipLog()
        for info in shards:
            skipped.merge(info.skipped)
        reasons = "; ".join(skipped.lines())
        if not num_stored:
            raise ValueError(f"no study of {self.plan.root} can be stored: {reasons}")
        readable = SourceCount("readable images", num_stored, len(self.plan.studies), reasons)
        check_sources([readable], is_subset=self.options.is_subset)
        return shards

    def _merge(self, writer: StoreWriter, shards: Iterable[ShardInfo]) -> dict[str, Study]:
        """Copy the shards into the store; returns dicom_id -> planned study of what is stored."""
        stored: dict[str, Study] = {}
        for info in shards:
            for study, pixels in read_shard(self.folder, info):
                writer.add_study(study, pixels)
                stored[study.image] = self.plan.studies[study.image]
            self.report.skipped.merge(info.skipped)
            self.report.noted.merge(info.noted)
        return stored

    def _write_pairs(self, writer: StoreWriter, stored: Mapping[str, Study]) -> None:
        """Join the questions with the stored studies and store what the protocol allows."""
        is_safe = self.options.protocol == "patient-safe"
        published = {} if is_safe else {study.id: study.split for study in stored.values()}
        for pair in self.plan.pairs(stored):
            writer.add_pair(pair)
            if not is_safe:
                published[pair.id] = pair.split
        self.report.protocol_hash = protocol_hash(self.plan.patients if is_safe else published)

    def _origin(self) -> Origin:
        options = self.options
        boxes, num_regions = self.plan.box_source
        return Origin(
            protocol=options.protocol,
            protocol_hash=self.report.protocol_hash,
            release=self.report.release,
            priors=self.priors,
            source=self.source,
            resize=options.resize,
            intensity=options.intensity,
            boxes=boxes,
            regions=num_regions,
            frontals=options.frontals,
            subset=options.is_subset,
            labels=self.plan.label_facts,
        )


def _split_rows(plan: StudyPlan, stored: Mapping[str, Study]) -> Iterator[Sequence[str]]:
    """The rows of splits.csv: the split of every stored image, and what the raw data says."""
    yield (*SPLIT_HEADER, *plan.split_columns)
    for study, values in plan.split_rows():
        if study.id in stored:
            yield (study.patient, study.study, study.id, stored[study.id].split, *values)


def _csv_lines(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    for row in rows:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(row)
        yield line.getvalue()


def _remove_shards(folder: Path) -> None:
    """Remove the shards and locks, and the folder if nothing else is in it."""
    for path in (*folder.glob("shard-*"), *folder.glob("lock*")):
        path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
