"""Raw trees -> store: read, join, split, decode, check for leaks, write (`lapse prepare`).

    MIMIC-CXR-JPG --> frontal studies --+-- regions <-- Chest ImaGenome
                                        |                                  store
    reports --> findings + impression --+--> without priors --> studies --> | --> no-leak check
    Medical-Diff-VQA --------------------------- joined --> pairs --------> |

What is not used is counted by reason, with examples; nothing is repaired in silence. Studies
pass one by one: memory holds their numbers, not their texts or pixels.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lapse.data.chest_imagenome import ChestImaGenome
from lapse.data.ledger import Ledger
from lapse.data.mimic_cxr import MimicCxr
from lapse.data.mimic_diff_vqa import MimicDiffVqa
from lapse.data.reports import PRIORS, remove_priors
from lapse.data.roots import Roots, find_roots
from lapse.data.splits import (
    PROTOCOLS,
    assign_patients,
    check_no_leak,
    leaked_patients,
    protocol_hash,
)
from lapse.data.store import Store
from lapse.data.store_writer import Origin, StoreWriter, check_free
from lapse.images import image_size, read_jpeg_at
from lapse.types import Pair, Region, Study, nearest

__all__ = ["PrepareReport", "Roots", "find_roots", "prepare"]

Progress = Callable[[int, int], None]  # images done, images in all
Pixels = npt.NDArray[np.uint8]


@dataclass(slots=True)
class PrepareReport:
    """What was read, kept, skipped and noticed.

    Attributes:
        read: "images" and "questions" in the raw tables.
        kept: as in the store's counts, "studies/train" and so on, and "patients".
        skipped: what is not in the store, by data set and reason.
        noted: oddities of what is in the store.
        leaked_patients: patients whom the data sets' own splits both train and evaluate on;
            none of them is left under patient-safe.
        images_per_second: decoding, resizing and writing, all workers together.
    """

    protocol: str
    protocol_hash: str = ""
    release: str = ""
    read: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    skipped: Ledger = field(default_factory=Ledger)
    noted: Ledger = field(default_factory=Ledger)
    leaked_patients: int = 0
    images_per_second: float = 0.0

    def lines(self) -> list[str]:
        """The report as plain text, one fact a line."""
        fate = "kept apart" if self.protocol == "patient-safe" else "LEAKED"
        return [
            f"read     {_counts(self.read)}",
            f"kept     {_counts(self.kept)}",
            f"releases {self.release}",
            f"protocol {self.protocol} {self.protocol_hash}",
            f"leak     {self.leaked_patients} patients stand in training and in evaluation parts "
            f"of the published splits: {fate}",
            f"speed    {self.images_per_second:.1f} images/s",
            f"skipped  {self.skipped.total}",
            *(f"  {line}" for line in self.skipped.lines()),
            f"noted    {self.noted.total}",
            *(f"  {line}" for line in self.noted.lines()),
        ]


def prepare(
    roots: Roots,
    out: Path,
    *,
    size: int,
    protocol: str = "patient-safe",
    priors: str = "rules",
    progress: Progress | None = None,
    workers: int = 1,
) -> PrepareReport:
    """Write the store of the four data sets.

    Args:
        roots: the raw trees, from `find_roots`.
        out: the future store; it must not exist.
        size: side of the stored images in pixels.
        protocol: how three disagreeing splits become one; see `lapse.data.splits`.
        priors: how references to earlier examinations leave reports and phrases.
        progress: called with (images done, images in all).
        workers: threads that decode images.

    Raises:
        ValueError: a table is missing or damaged, `out` is taken, nothing is left to store, or
            the protocol is patient-safe and the written records leak.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"no protocol {protocol!r}; {nearest(protocol, PROTOCOLS)}")
    if priors not in PRIORS:
        raise ValueError(f"no removal of priors {priors!r}; {nearest(priors, PRIORS)}")
    if workers < 1:
        raise ValueError(f"{workers} workers: at least one is needed")
    check_free(out)
    run = _Run(roots, PrepareReport(protocol), priors, progress or _say_nothing)
    with StoreWriter(out, size) as writer:
        run.write_studies(writer, size, workers)
        run.write_pairs(writer)
        return run.finish(writer)


class _Run:
    """One pass of `prepare`: the open data sets and what is known so far."""

    def __init__(
        self, roots: Roots, report: PrepareReport, priors: str, progress: Progress
    ) -> None:
        self.report = report
        self.priors = priors
        self.progress = progress
        self.mimic = MimicCxr(roots.mimic_cxr_jpg, roots.reports)
        self.imagenome = ChestImaGenome(roots.chest_imagenome, self.mimic.sizes)
        self.questions = MimicDiffVqa(roots.medical_diff_vqa)
        self.source = roots.describe()
        self.patients = assign_patients(self._words())
        report.leaked_patients = len(leaked_patients(self._words()))
        self.published: dict[str, str] = {}  # record -> split, what the published hash names
        self.light: dict[str, Study] = {}  # study number -> Study without its texts

    def write_studies(self, writer: StoreWriter, size: int, workers: int) -> None:
        """Decode the images of all studies in parallel and store them in order."""
        report, started, done = self.report, time.perf_counter(), 0
        total = self.mimic.num_studies
        decoded = _decoded(self.mimic, size, workers)
        for done, (study, pixels, oddity) in enumerate(decoded, start=1):
            if isinstance(pixels, str):
                report.skipped.add("mimic_cxr: unreadable image", pixels)
                continue
            if oddity:
                report.noted.add("mimic_cxr: image size differs from the metadata", oddity)
            finished = self._finish_study(study)
            writer.add_study(finished, pixels)
            self.light[study.study] = replace(finished, report="", regions=())
            self.progress(done, total)
        seconds = time.perf_counter() - started
        report.images_per_second = done / seconds if seconds > 0 else 0.0
        report.read["images"] = self.mimic.num_images
        if not self.light:
            raise ValueError(
                f"no study of {self.mimic.root} can be stored: "
                f"{'; '.join([*report.skipped.lines(), *self.mimic.skipped.lines()]) or 'empty'}"
            )

    def write_pairs(self, writer: StoreWriter) -> None:
        """Join the questions with the stored studies and store what the protocol allows."""
        for pair in self.questions.pairs(self.light):
            if self._is_allowed(pair):
                self.published[pair.id] = pair.split
                writer.add_pair(pair)
        self.report.read["questions"] = self.questions.num_rows

    def finish(self, writer: StoreWriter) -> PrepareReport:
        """Write store.json, check what lies on the disk, collect the report."""
        report = self.report
        is_safe = report.protocol == "patient-safe"
        report.protocol_hash = protocol_hash(self.patients if is_safe else self.published)
        report.release = (
            f"mimic-cxr-jpg {self.mimic.release}, chest-imagenome 1.0.0, "
            f"medical-diff-vqa {self.questions.release}"
        )
        origin = Origin(
            protocol=report.protocol,
            protocol_hash=report.protocol_hash,
            release=report.release,
            priors=self.priors,
            source=self.source,
        )
        info = writer.finish(origin, check=_refuse_leak if is_safe else None)
        report.kept = info.counts
        for dataset in (self.mimic, self.imagenome, self.questions):
            report.skipped.merge(dataset.skipped, f"{dataset.name}: ")
            report.noted.merge(dataset.noted, f"{dataset.name}: ")
        return report

    def _words(self) -> Iterable[tuple[str, str]]:
        datasets = (self.mimic, self.imagenome, self.questions)
        return chain.from_iterable(dataset.patient_words() for dataset in datasets)

    def _finish_study(self, study: Study) -> Study:
        """Regions, texts without priors, and the split of the protocol."""
        own = self.imagenome.split_of.get(study.id, study.split)
        split = own
        if self.report.protocol == "patient-safe":
            split = self.patients[study.patient]
            if split != own:
                reason = f"splits: study moved from {own} to {split} with its patient"
                self.report.noted.add(reason, study.id)
        self.published[study.id] = own
        found = self.imagenome.regions(study.id)
        regions = tuple(self._clean_region(region, study) for region in found)
        report = self._clean(study.report, study)
        return replace(study, split=split, report=report, regions=regions)

    def _clean_region(self, region: Region, study: Study) -> Region:
        cleaned = (self._clean(phrase, study) for phrase in region.phrases)
        return replace(region, phrases=tuple(dict.fromkeys(text for text in cleaned if text)))

    def _clean(self, text: str, study: Study) -> str:
        rest, removed = remove_priors(text, self.priors)
        if removed:
            owner = f"{len(removed)} in {study.id}"
            self.report.noted.add("priors: sentence or clause removed", owner, len(removed))
        return rest

    def _is_allowed(self, pair: Pair) -> bool:
        """Under patient-safe a question stays where its own split is its patient's split."""
        if self.report.protocol == "published":
            return True
        split = self.patients[pair.main.patient]
        if pair.split != split:
            reason = f"splits: {pair.split} question of a patient who is in {split}"
            self.report.skipped.add(reason, pair.id)
        return pair.split == split


def _decoded(mimic: MimicCxr, size: int, workers: int) -> Iterator[tuple[Study, Pixels | str, str]]:
    """Every study with its pixels (or why there are none), in order, a few ahead of use."""

    def decode(study: Study) -> tuple[Study, Pixels | str, str]:
        path = mimic.image_path(study)
        try:
            pixels = read_jpeg_at(path, size)
            return study, pixels, _size_oddity(study.id, path, mimic.sizes)
        except ValueError as error:
            return study, str(error), ""

    waiting: deque[Future[tuple[Study, Pixels | str, str]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for study in mimic.read():
            waiting.append(pool.submit(decode, study))
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _size_oddity(dicom_id: str, path: Path, sizes: Mapping[str, tuple[int, int]]) -> str:
    if path.suffix != ".jpg" or dicom_id not in sizes:
        return ""
    found, told = image_size(path), sizes[dicom_id]
    return "" if found == told else f"{dicom_id} is {found}, metadata says {told}"


def _refuse_leak(store: Store) -> None:
    check_no_leak(store.studies, store.pairs)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing"


def _say_nothing(done: int, total: int) -> None:
    del done, total
