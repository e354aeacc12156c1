"""Predictions as a file: written as they are made, on any number of ranks, and resumable.

    OUT.partial/job.json       what the answers depend on; another job does not continue this one
    OUT.partial/rank-N.tsv     finished rows of rank N in the order of its batches: row, tab, line
    OUT.partial/lock           the process that writes
    OUT                        all rows in order; the folder is deleted

The unfinished batches are dealt to the ranks in turn. A batch always holds the same samples, so
the file has the same bytes with one rank, with many, and after any number of kills.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapse.core.files import atomic_write, check_output_file, write_text, writer_lock, writing
from lapse.core.json_files import read_json_object
from lapse.core.progress import Progress, RateLog, no_progress
from lapse.core.types import Sample
from lapse.core.version import __version__
from lapse.evaluation.predictions.jsonl import prediction_line
from lapse.inference.answerers import Answerer, open_answerer
from lapse.inference.predict import (
    PredictionPlan,
    PredictOptions,
    Source,
    plan_predictions,
    prediction_of,
)
from lapse.training.distributed import DistributedContext, enter_on_first_rank, init_distributed

logger = logging.getLogger(__name__)
JOB, LOCK = "job.json", "lock"
MAX_WAIT = timedelta(days=7)  # of a rank that has finished its part, for the others


def predict_to_file(
    source: Source,
    data: Path,
    split: str,
    path: Path,
    options: PredictOptions | None = None,
    *,
    progress: Progress = no_progress,
) -> int:
    """Write the predictions of one split; returns the number of rows.

    Under torchrun or srun, every rank answers a part of the rows and one file is written. The same
    call continues an interrupted job, also with another number of ranks.

    Args:
        source: as for `predict`.
        data: a store written by `prepare`, at the image size of the model.
        split: "train", "validate" or "test".
        path: the predictions file; a file from an earlier job is replaced at the end.
        options: tasks, limits, confidence and probe, without an `exposure_source`.
        progress: called on rank 0 with (answered samples, all samples); the other ranks are
            counted as if they were as fast as rank 0.

    Raises:
        ValueError: as `predict`, another process that writes this file, or unfinished predictions
            of another job in its place.
    """
    options = options or PredictOptions()
    if options.exposure_source is not None:
        raise ValueError("a job cannot be continued with an exposure_source: use predict")
    check_output_file(path)
    with prediction_ranks() as ranks:
        if isinstance(source, Answerer):
            answerer = source
        else:
            answerer = open_answerer(source, options, device=ranks.device)
        plan = plan_predictions(answerer, data, split, options)
        job = _Job(answerer, plan, path, ranks)
        facts = {
            **answerer.facts,
            "version": __version__,
            "data": plan.selection.store.info.fingerprint,
            "split": split,
            "tasks": ", ".join(answerer.tasks),
            "limit": str(options.limit),
            "probe": str(options.probe),
        }
        lock = writer_lock(job.folder / LOCK, path)
        with enter_on_first_rank(lock, ranks, f"rank 0 cannot write {path}"):
            job.run(facts, progress)
        return len(plan)


def prediction_ranks() -> AbstractContextManager[DistributedContext]:
    """The ranks of a job. They exchange no tensors, so gloo serves GPUs too."""
    return init_distributed(backend="gloo", timeout=MAX_WAIT)


@dataclass(frozen=True, slots=True)
class _Job:
    """One file of predictions, while rank 0 holds its lock."""

    answerer: Answerer
    plan: PredictionPlan
    path: Path
    ranks: DistributedContext

    @property
    def folder(self) -> Path:
        return self.path.with_name(f"{self.path.name}.partial")

    @property
    def part(self) -> Path:
        return self.folder / f"rank-{self.ranks.rank}.tsv"

    def run(self, facts: Mapping[str, str], progress: Progress) -> None:
        total = len(self.plan)
        if self.ranks.rank == 0:
            _start(self.folder, facts)
        self.ranks.barrier()
        drop_torn_line(self.part)
        done = _row_positions(self.folder, total)[0] >= 0
        self.ranks.barrier()  # every rank knows what is left before any writes
        if done.any():
            logger.info("%s: continues after %d of %d rows", self.path, done.sum(), total)
        log = RateLog(logger, f"{self.path.name}: answers")
        self._answer(done, log, progress)
        self.ranks.barrier()
        if self.ranks.rank == 0:
            merge(self.folder, self.path, total)
            shutil.rmtree(self.folder)
            log.finish()
            progress(total, total)
        self.ranks.barrier()

    def _answer(self, done: NDArray[np.bool_], log: RateLog, progress: Progress) -> None:
        """Answer the batches of this rank and append their rows to its file."""
        total, before, num_answered = len(self.plan), int(done.sum()), 0
        mine = islice(self._unfinished(done), self.ranks.rank, None, self.ranks.world_size)
        with writing(self.part), self.part.open("a", encoding="utf-8", newline="") as file:
            for first_row, indices, samples in mine:
                answers = self.answerer.answer(samples, self.plan.pixels)
                for index, sample, answer in zip(indices, samples, answers, strict=True):
                    line = prediction_line(prediction_of(sample, answer))
                    file.write(f"{first_row + index}\t{line}")
                file.flush()
                num_answered += len(indices)
                if self.ranks.rank == 0:
                    estimate = min(total - before, num_answered * self.ranks.world_size)
                    log(estimate, total - before)
                    progress(before + estimate, total)

    def _unfinished(self, done: NDArray[np.bool_]) -> Iterator[tuple[int, list[int], list[Sample]]]:
        """The batches of which a row is missing: row of their window, indices in it, samples."""
        for window in self.plan.selection.windows():
            for indices in self.plan.batches(window):
                if not done[window.first + np.array(indices)].all():
                    yield window.first, indices, [window.samples[index] for index in indices]


def _start(folder: Path, facts: Mapping[str, str]) -> None:
    """Begin a job, or check that this one continues the job in the folder."""
    about = folder / JOB
    if not about.is_file():
        write_text(about, json.dumps(facts, indent=1) + "\n")
        return
    try:
        old = read_json_object(about)
    except ValueError as error:
        raise ValueError(f"{error}; delete {folder} and start again") from None
    different = [
        f"{key} is {facts.get(key)!r}, was {old.get(key)!r}"
        for key in sorted(old.keys() | facts.keys())
        if old.get(key) != facts.get(key)
    ]
    if different:
        raise ValueError(
            f"{folder} holds unfinished predictions of another job: {'; '.join(different)}. Give "
            "the same values, delete that folder, or choose another output"
        )


def drop_torn_line(part: Path) -> None:
    """Remove the end of a file that a kill has cut within a line."""
    if not part.is_file():
        return
    with part.open("rb+") as file:
        size = sum(len(line) for line in file if line.endswith(b"\n"))
        file.truncate(size)


def merge(folder: Path, path: Path, total: int) -> None:
    """Write all rows in order to the predictions file; only their positions are in memory.

    Raises:
        ValueError: a row is missing.
    """
    positions, numbers = _row_positions(folder, total)
    missing = int((positions < 0).sum())
    if missing:
        raise ValueError(
            f"{missing} of {total} rows are missing in {folder}: run the same command again"
        )
    with ExitStack() as stack, atomic_write(path) as temporary:
        files = [stack.enter_context(part.open("rb")) for part in _parts(folder)]
        with writing(path), temporary.open("wb") as merged:
            for number, position in zip(numbers.tolist(), positions.tolist(), strict=True):
                files[number].seek(position)
                merged.write(files[number].readline())


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("rank-*.tsv"))


def _row_positions(folder: Path, total: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Position of each complete row in its file, -1 for a missing row; number of the file."""
    positions, numbers = np.full(total, -1, np.int64), np.zeros(total, np.int32)
    for number, part in enumerate(_parts(folder)):
        for row, position in _rows_of(part, total):
            positions[row], numbers[row] = position, number
    return positions, numbers


def _rows_of(part: Path, total: int) -> Iterator[tuple[int, int]]:
    """Row number, and position of the line after its tab, of every complete line."""
    position = 0
    with part.open("rb") as file:
        for line in file:
            number, tab, _ = line.partition(b"\t")
            if line.endswith(b"\n"):
                if not (tab and number.isdigit() and int(number) < total):
                    raise ValueError(
                        f"{part} holds a line that is not a row of this job: delete {part.parent} "
                        "and start again"
                    )
                yield int(number), position + len(number) + 1
            position += len(line)
