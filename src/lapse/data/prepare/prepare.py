"""Raw trees -> store: read, join, split, decode, check for leaks, write (`lapse prepare`).

    tables --> plan --> shards, each by one process and kept when a run is killed
                           |
                           '--> merged in order --> store --> no-leak check
    Medical-Diff-VQA, MS-CXR-T --> joined --> pairs ---'

What is not used is counted by reason, with examples; nothing is repaired in silence. A shard
holds a thousand studies and is the unit of restarting and of sharing work between machines.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lapse.core.types import Pair, Study
from lapse.data.datasets.discovery import Roots, find_roots
from lapse.data.datasets.splits import protocol_hash
from lapse.data.io.compact_maps import OrderedEnumMap
from lapse.data.io.worker_pool import run_inline, run_isolated
from lapse.data.prepare.options import PrepareOptions, PrepareReport
from lapse.data.prepare.plan import Plan, PlanOptions
from lapse.data.prepare.shards import (
    ShardFacts,
    ShardJob,
    read_facts,
    read_removed,
    read_shard,
)
from lapse.data.prepare.stored_studies import StoredStudyIndex
from lapse.data.reports.prior_removal import prior_remover
from lapse.data.store.leakage import refuse_leak
from lapse.data.store.store import REMOVED, SPLIT_TABLE, Store
from lapse.data.store.writer import Origin, StoreWriter, check_free

__all__ = ["PrepareOptions", "PrepareReport", "Roots", "find_roots", "prepare"]

Progress = Callable[[int, int], None]  # images done, images in all
SPLIT_HEADER = ("subject_id", "study_id", "dicom_id", "split", "mimic_cxr", "chest_imagenome")


def prepare(
    roots: Roots, out: Path, options: PrepareOptions, *, progress: Progress | None = None
) -> PrepareReport:
    """Write the store of the raw trees, or one part of its shards.

    Shards that lie in `<out>.parts` already, from a run that was killed or from another machine,
    are used as they are. A finished store takes the folder away.

    Args:
        roots: the raw trees, from `find_roots`.
        out: the future store; it must not exist.
        options: how.
        progress: called with (images done, images in all of this run's shards).

    Raises:
        ValueError: a table is missing or damaged, images are missing, `out` is taken, the parts
            belong to other data or options, nothing is left to store, or the protocol is
            patient-safe and the written records leak.
    """
    check_free(out)
    return _Run(roots, out, options, progress or _say_nothing).run()


class _Run:
    """One pass of `prepare`: the plan and what is known so far."""

    def __init__(
        self, roots: Roots, out: Path, options: PrepareOptions, progress: Progress
    ) -> None:
        self.out, self.options, self.progress = out, options, progress
        self.report = PrepareReport(options.protocol)
        self.plan = Plan(
            roots,
            PlanOptions(
                protocol=options.protocol,
                frontals=options.frontals,
                boxes=options.boxes,
                is_subset=options.is_subset,
                shard_size=options.shard_size,
            ),
        )
        self.source = roots.describe()
        self.report.leaked_patients = self.plan.num_leaked
        self.report.num_shards = self.plan.num_shards
        self.parts = out.with_name(f"{out.name}.parts")
        self.priors = prior_remover(options.priors).name
        settings = {
            "size": str(options.size),
            "priors": self.priors,
            "resize": options.resize,
            "regions": options.regions,
        }
        self.job = ShardJob(
            parts=self.parts,
            key=self.plan.key(settings),
            size=options.size,
            resize=options.resize,
            priors=options.priors,
            imagenome=roots.chest_imagenome,
            boxes=options.boxes,
            regions=options.regions,
            reports=roots.reports,
        )

    def run(self) -> PrepareReport:
        """Shards that are missing, then the store."""
        self.parts.mkdir(parents=True, exist_ok=True)
        self._make_shards()
        if self.options.part is not None:
            return self.report
        with StoreWriter(self.out, self.options.size) as writer:
            shards = self._facts()
            self._write_pairs(writer, self._merge(writer, shards))
            self._take_report()
            del self.plan  # its columns make room for the last check
            self._finish(writer, shards)
        _remove_parts(self.parts)
        return self.report

    def _make_shards(self) -> None:
        report, options = self.report, self.options
        wanted = self._wanted()
        left = [n for n in wanted if read_facts(self.parts, n, self.job.key) is None]
        report.num_made = len(left)
        if not left:
            return
        total = sum(self._shard_length(index) for index in left)
        done = 0

        def on_item(_: str) -> None:
            nonlocal done
            done = min(done + 1, total)  # an image on which a process died begins twice
            self.progress(done, total)

        started = time.perf_counter()
        tasks = self.plan.shards(left)
        if options.workers == 0:
            results = run_inline(self.job, tasks, on_item)
        else:
            results = run_isolated(self.job, tasks, processes=options.workers, on_item=on_item)
        for _ in results:
            pass
        report.images_per_second = total / max(1e-9, time.perf_counter() - started)

    def _wanted(self) -> range:
        if self.options.part is None:
            return range(self.plan.num_shards)
        first, step = self.options.part
        return range(first - 1, self.plan.num_shards, step)

    def _shard_length(self, index: int) -> int:
        size = self.options.shard_size
        return min(size, self.plan.num_studies - index * size)

    def _facts(self) -> list[ShardFacts]:
        found = []
        for index in range(self.plan.num_shards):
            facts = read_facts(self.parts, index, self.job.key)
            assert facts is not None, "a shard that was just made is gone"
            found.append(facts)
        if not sum(facts.num_studies for facts in found):
            reasons = "; ".join(line for facts in found for line in facts.skipped.lines())
            raise ValueError(f"no study of {self.plan.mimic.root} can be stored: {reasons}")
        return found

    def _merge(self, writer: StoreWriter, shards: Iterable[ShardFacts]) -> StoredStudyIndex:
        """Put the shards into the store in order; returns which studies these are."""
        stored = StoredStudyIndex(self.plan)
        for facts in shards:
            for study, pixels in read_shard(self.parts, facts):
                writer.add_study(study, pixels)
                stored.mark(study.image)
            self.report.skipped.merge(facts.skipped)
            self.report.noted.merge(facts.noted)
        return stored

    def _write_pairs(self, writer: StoreWriter, studies: StoredStudyIndex) -> None:
        """Join the questions with the stored studies and store what the protocol allows."""
        plan = self.plan
        is_safe = self.options.protocol == "patient-safe"
        published = OrderedEnumMap()
        for study in () if is_safe else studies:
            published[study.id] = study.split
        for pair in self._pairs(studies):
            writer.add_pair(pair)
            if not is_safe:
                published[pair.id] = pair.split
        self.report.read["images"] = plan.mimic.num_images
        self.report.read["questions"] = plan.questions.num_rows
        self.report.protocol_hash = protocol_hash(plan.patients if is_safe else published)
        writer.add_file(SPLIT_TABLE, _split_lines(plan, studies))

    def _pairs(self, studies: StoredStudyIndex) -> Iterator[Pair]:
        plan = self.plan
        if self.options.boxes == "gold":
            return
        for pair in plan.questions.pairs(studies):
            if plan.is_allowed(pair):
                yield pair
        if plan.progressions is not None:
            yield from plan.progressions.pairs(studies.by_image)

    def _take_report(self) -> None:
        """What the plan and its data sets know, which is all that is needed of them now."""
        report, plan = self.report, self.plan
        report.release = (
            f"mimic-cxr-jpg {plan.mimic.release}, chest-imagenome 1.0.0, "
            f"medical-diff-vqa {plan.questions.release}"
        )
        if plan.progressions is not None:
            report.release += ", ms-cxr-t 1.0.0"
        report.skipped.merge(plan.skipped)
        report.noted.merge(plan.noted)
        for dataset in (plan.mimic, plan.questions, plan.progressions):
            if dataset is not None:
                report.skipped.merge(dataset.skipped, f"{dataset.name}: ")
                report.noted.merge(dataset.noted, f"{dataset.name}: ")

    def _finish(self, writer: StoreWriter, shards: list[ShardFacts]) -> None:
        """Write store.json and check what lies on the disk."""
        report, options = self.report, self.options
        origin = Origin(
            protocol=report.protocol,
            protocol_hash=report.protocol_hash,
            release=report.release,
            priors=self.priors,
            source=self.source,
            resize=options.resize,
            boxes=options.boxes,
            regions=int(options.regions),
            frontals=options.frontals,
            subset=options.is_subset,
        )
        writer.add_file(REMOVED, (read_removed(self.parts, facts) for facts in shards))
        is_safe = report.protocol == "patient-safe"
        info = writer.finish(origin, check=_refuse_leak if is_safe else None)
        report.kept = info.counts


def _split_lines(plan: Plan, studies: Iterable[Study]) -> Iterator[str]:
    """splits.csv: the split of every stored image, beside the words of the data sets."""
    yield ",".join(SPLIT_HEADER) + "\n"
    for study in studies:
        line = io.StringIO()
        own = (plan.mimic.split_of[study.id], plan.imagenome.split_of.get(study.id) or "")
        row = (study.patient, study.study, study.id, study.split, *own)
        csv.writer(line, lineterminator="\n").writerow(row)
        yield line.getvalue()


def _remove_parts(parts: Path) -> None:
    """Take the shards away; a folder that holds anything else stays."""
    for path in parts.glob("shard-*"):
        path.unlink()
    if not any(parts.iterdir()):
        parts.rmdir()


def _refuse_leak(store: Store) -> None:
    refuse_leak(store)


def _say_nothing(done: int, total: int) -> None:
    del done, total
