"""Records -> a balanced, seeded stream of batches that can start at any step.

Legend: R records in use  K tasks  C regions per image  B rows of one step

Paper 4.3: every batch holds the tasks in equal parts. A record brings C rows of each of its K
tasks, so that its image is encoded once for K x C texts:

    epoch 0: study 7, study 2, study 9 | study 4, ...      counted_order(R, seed, stage, epoch)
             each: cap x C, aref x C, gcap x C, caref x C   samples by counted choice
             '---------- step 0 ----------' '- step 1

The batch of step k is a pure function of (configuration, data, k). So resuming is starting at
step k, and workers, prefetching and the number of ranks cannot change which rows are seen.
"""

from __future__ import annotations

import multiprocessing
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lapse import registry
from lapse.batch import Batch, EncodedText, collate, encode_sample
from lapse.config import RunConfig
from lapse.counted import counted_order, counted_uniform
from lapse.text import Tokenizer, trimmed_ids
from lapse.types import Sample

PARALLEL_TASK = "cap"  # parallel prediction is for captions only (paper 3.2.1)
Pixels = Callable[[str], NDArray[np.uint8]]


class Task(Protocol):
    """What `lapse.tasks` holds: a record -> its samples."""

    name: str
    records: str

    def samples(self, record: Any) -> Iterator[Sample]:
        """All samples of one record, always in the same order."""
        ...


def load_tasks(names: Sequence[str], num_bins: int) -> tuple[Task, ...]:
    """The tasks of these names; `num_bins` is the image side in pixels.

    Raises:
        ValueError: unknown name, or tasks that need different kinds of records.
    """
    tasks: tuple[Task, ...] = tuple(registry.load("tasks", name)(num_bins) for name in names)
    kinds = sorted({task.records for task in tasks})
    if len(kinds) > 1:
        raise ValueError(f"the tasks {list(names)} need {kinds}: one run reads one kind of record")
    return tasks


def split_records(store: Any, task: Task, split: str) -> Sequence[Any]:
    """The studies or pairs of a split, whichever the task needs."""
    records: Sequence[Any] = (
        store.pairs_of(split) if task.records == "pairs" else store.studies_of(split)
    )
    return records


def vocabulary(records: Sequence[Any], tasks: Sequence[Task], num_bins: int) -> tuple[int, ...]:
    """GPT-2 ids in use in these records' samples, and those of every box number."""

    def texts() -> Iterator[str]:
        for value in range(num_bins):
            yield f"[{value}, {value}, {value}, {value}]"
            yield f" [{value}, {value}, {value}, {value}]"
        for index in range(len(records)):
            for task in tasks:
                for sample in task.samples(records[index]):
                    yield sample.prefix
                    yield f" {sample.given}"
                    yield sample.answer

    return trimmed_ids(dict.fromkeys(texts()))


class SampleTable:
    """All samples of some records, tokenised once into flat arrays.

    Only token ids are kept (two bytes each); a `Sample` is made again from its record when a
    batch needs it. A record that lacks a sample of any task is left out and counted.

    Args:
        records: studies or pairs; only `limit` usable ones are taken (None: all).
        tasks: what to make of each record.
        tokenizer: the run's tokenizer.
        max_tokens: longer texts lose their end and are counted in `num_truncated`.

    Attributes:
        missing: task name -> number of records without a sample of it.

    Raises:
        ValueError: a prompt alone fills `max_tokens`.
    """

    def __init__(
        self,
        records: Sequence[Any],
        tasks: Sequence[Task],
        tokenizer: Tokenizer,
        *,
        max_tokens: int,
        limit: int | None = None,
    ) -> None:
        self.records, self.tasks = records, tuple(tasks)
        self.missing = {task.name: 0 for task in tasks}
        self.num_truncated = 0
        memo = _MemoTokenizer(tokenizer.kept)
        ids, used = array("H"), array("q")
        offsets, first = array("q", [0]), array("q", [0])
        parts = array("H")
        for index in range(len(records)):
            if limit is not None and len(used) >= limit:
                break
            found = [list(task.samples(records[index])) for task in self.tasks]
            for task, samples in zip(self.tasks, found, strict=True):
                self.missing[task.name] += not samples
            if not all(found):
                continue
            used.append(index)
            for samples in found:
                for sample in samples:
                    text = encode_sample(sample, memo, max_tokens)
                    self.num_truncated += text.ids[-1] != tokenizer.end
                    ids.extend(text.ids)
                    offsets.append(len(ids))
                    parts.extend((text.prefix, text.prompt))
                first.append(len(offsets) - 1)
        self._ids = np.frombuffer(ids, np.uint16) if ids else np.zeros(0, np.uint16)
        self._offsets = np.frombuffer(offsets, np.int64)
        self._parts = np.frombuffer(parts, np.uint16).reshape(-1, 2) if parts else None
        self._first = np.frombuffer(first, np.int64)
        self.used = np.frombuffer(used, np.int64) if used else np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.used)

    @property
    def num_rows(self) -> int:
        """Samples of all records in use."""
        return len(self._offsets) - 1

    def rows(self, record: int, task: int) -> range:
        """Rows of one task of the record in use number `record`; never empty."""
        cell = record * len(self.tasks) + task
        return range(int(self._first[cell]), int(self._first[cell + 1]))

    def text(self, row: int) -> EncodedText:
        """The tokens of one row."""
        if self._parts is None:
            raise ValueError("the table is empty: it has no row")
        start, stop = int(self._offsets[row]), int(self._offsets[row + 1])
        prefix, prompt = (int(value) for value in self._parts[row])
        return EncodedText(tuple(self._ids[start:stop].tolist()), prefix, prompt)

    def samples(self, record: int) -> list[list[Sample]]:
        """All samples of the record in use number `record`, per task, in row order."""
        source = self.records[int(self.used[record])]
        return [list(task.samples(source)) for task in self.tasks]

    def locate(self, row: int) -> tuple[int, int, int]:
        """Record, task and place within the task, of one row."""
        cell = int(np.searchsorted(self._first, row, side="right")) - 1
        record, task = divmod(cell, len(self.tasks))
        return record, task, row - int(self._first[cell])

    def sample(self, row: int) -> Sample:
        """The sample of one row."""
        record, task, place = self.locate(row)
        return self.samples(record)[task][place]


class BalancedStream:
    """The batches of a run. `batches(k)` never depends on what was asked for before.

    Args:
        table: the training samples.
        pixels: image key -> [S, S] uint8.
        config: the run; reads `data`, `loop` and `stage`.
        num_parts: slices of one step: ranks x accumulation.

    Raises:
        ValueError: no record is usable, rows do not come out even, or a slice would be empty.
    """

    def __init__(self, table: SampleTable, pixels: Pixels, config: RunConfig) -> None:
        self.table, self.pixels = table, pixels
        self.data, self.loop, self.stage = config.data, config.loop, config.stage
        rows = len(table.tasks) * self.data.regions_per_image
        size = self.loop.batch_size
        if len(table) == 0:
            raise ValueError(
                f"no record has a sample of every task {[task.name for task in table.tasks]} "
                f"(records without: {table.missing}): check the store's training split"
            )
        if size % rows:
            raise ValueError(
                f"loop.batch_size {size} is no multiple of {rows} = {len(table.tasks)} tasks x "
                f"{self.data.regions_per_image} regions: the tasks would not be equal"
            )
        self.records_per_step = size // rows

    @property
    def total_steps(self) -> int:
        """Steps of the whole run; epochs end within a step, nothing is dropped."""
        if self.loop.steps is not None:
            return self.loop.steps
        records = (self.loop.epochs or 0) * len(self.table)
        return -(-records // self.records_per_step)

    def batches(self, step: int, rank: int = 0, world: int = 1) -> tuple[Batch, ...]:
        """The batches of one rank in one step: one per accumulation step and image count."""
        micros = self.loop.accumulate
        check_parts(self.records_per_step, world, micros)
        return tuple(
            batch
            for micro in range(micros)
            for batch in self._slice(step, rank * micros + micro, world * micros)
        )

    def _slice(self, step: int, part: int, parts: int) -> Iterator[Batch]:
        count = self.records_per_step
        begin = step * count
        positions = range(begin + part * count // parts, begin + (part + 1) * count // parts)
        groups: dict[int, list[tuple[Sample, EncodedText, bool]]] = {}
        for position in positions:
            for row in self._rows(position):
                groups.setdefault(len(row[0].images), []).append(row)
        for count in sorted(groups):
            samples, texts, parallel = zip(*groups[count], strict=True)
            yield collate(
                samples,
                texts,
                read_pixels(self.pixels, samples),
                parallel=parallel,
                train_given=self.data.train_given,
            )

    def _rows(self, position: int) -> Iterator[tuple[Sample, EncodedText, bool]]:
        """The K x C rows of the record at one place of the endless stream."""
        epoch, place = divmod(position, len(self.table))
        record = int(_order(len(self.table), self.loop.seed, self.stage, epoch)[place])
        samples = self.table.samples(record)
        source = self.table.records[int(self.table.used[record])].id
        for index, task in enumerate(self.table.tasks):
            key = (self.loop.seed, self.stage, epoch, source, task.name)
            rows = self.table.rows(record, index)
            order = counted_order(len(rows), *key) if len(rows) > 1 else [0]
            for turn in range(self.data.regions_per_image):
                choice = order[turn % len(rows)]
                is_parallel = (
                    task.name == PARALLEL_TASK
                    and counted_uniform(*key, turn, "parallel") < self.data.parallel_fraction
                )
                yield samples[index][choice], self.table.text(rows[choice]), is_parallel


def check_parts(records: int, world: int, accumulate: int) -> None:
    """Refuse a step that cannot give every rank and accumulation step a record.

    Raises:
        ValueError: says the sizes and which to change.
    """
    if records < world * accumulate:
        raise ValueError(
            f"one step has {records} records, too few for {world} ranks x {accumulate} "
            "accumulation steps: raise loop.batch_size or lower loop.accumulate"
        )


def read_pixels(pixels: Pixels, samples: Sequence[Sample]) -> dict[str, Tensor]:
    """The images that samples speak about, each once: key -> [S, S] uint8."""
    keys = dict.fromkeys(key for sample in samples for key in sample.images)
    return {key: torch.from_numpy(np.array(pixels(key))) for key in keys}


def prefetched(
    stream: BalancedStream, start: int, stop: int, *, rank: int = 0, world: int = 1
) -> Iterator[tuple[Batch, ...]]:
    """The batches of steps start .. stop - 1 in order, made by `loop.workers` processes."""
    workers = stream.loop.workers
    if workers == 0:
        yield from (stream.batches(step, rank, world) for step in range(start, stop))
        return
    loader: DataLoader[tuple[Batch, ...]] = DataLoader(
        _Steps(stream, rank, world),
        batch_size=None,
        sampler=range(start, stop),
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator(),
        multiprocessing_context=multiprocessing.get_context("fork"),
    )
    yield from loader


def fixed_batches(
    table: SampleTable, rows: Sequence[int], pixels: Pixels, config: RunConfig, *, size: int
) -> Iterator[tuple[tuple[int, ...], Batch]]:
    """Batches of at most `size` of these rows in the given order, with the rows they hold.

    A batch ends early where the number of images per row changes. No row is parallel.
    """
    group: list[tuple[int, Sample]] = []
    for row in rows:
        sample = table.sample(row)
        if group and (len(group) == size or len(group[0][1].images) != len(sample.images)):
            yield _fixed(table, group, pixels, config)
            group = []
        group.append((row, sample))
    if group:
        yield _fixed(table, group, pixels, config)


def length_sorted(table: SampleTable, rows: Sequence[int]) -> list[int]:
    """Rows by the length of their prompt, then as stored, so that little is padding."""
    return sorted(rows, key=lambda row: (table.text(row).prompt, row))


def chosen_rows(table: SampleTable, count: int, seed: int) -> list[int]:
    """A fixed choice of `count` rows, spread over the table by counted randomness."""
    order = counted_order(table.num_rows, seed, "chosen")
    return sorted(order[:count])


def _fixed(
    table: SampleTable, group: list[tuple[int, Sample]], pixels: Pixels, config: RunConfig
) -> tuple[tuple[int, ...], Batch]:
    rows = tuple(row for row, _ in group)
    samples = [sample for _, sample in group]
    batch = collate(
        samples,
        [table.text(row) for row in rows],
        read_pixels(pixels, samples),
        train_given=config.data.train_given,
    )
    return rows, batch


class _MemoTokenizer(Tokenizer):
    """A tokenizer that remembers: prefixes, region names and template answers repeat."""

    def __init__(self, kept: Sequence[int] | None) -> None:
        super().__init__(kept)
        self._remembered = lru_cache(maxsize=1 << 16)(super().encode)

    def encode(self, text: str) -> list[int]:
        return self._remembered(text)


class _Steps(Dataset[tuple[Batch, ...]]):
    def __init__(self, stream: BalancedStream, rank: int, world: int) -> None:
        self.stream, self.rank, self.world = stream, rank, world

    def __getitem__(self, step: int) -> tuple[Batch, ...]:
        return self.stream.batches(step, self.rank, self.world)


def _as_it_is(batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
    return batches


@lru_cache(maxsize=2)
def _order(count: int, seed: int, stage: str, epoch: int) -> NDArray[np.int32]:
    """One epoch's permutation, remembered: a step needs one, at its border two."""
    return np.array(counted_order(count, seed, stage, epoch), np.int32)
