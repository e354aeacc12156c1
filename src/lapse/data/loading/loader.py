"""Records -> a balanced, seeded stream of batches that can start at any step.

Legend: R records in use  K tasks  C regions per image  B rows of one step

Paper 4.3: every batch holds the tasks in equal parts. A record brings C rows of each of its K
tasks, so that its image is encoded once for K x C texts:

    epoch 0: study 7, study 2, study 9 | study 4, ...      derive_permutation(R, seed, stage, epoch)
             each: cap x C, aref x C, gcap x C, caref x C   samples by counted choice
             '---------- step 0 ----------' '- step 1

The batch of step k is a pure function of (configuration, data, k). So resuming is starting at
step k, and workers, prefetching and the number of ranks cannot change which rows are seen.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lapse.config import RunConfig
from lapse.core.seeding import derive_permutation, derive_uniform
from lapse.core.tokenizer import Tokenizer
from lapse.core.types import Sample
from lapse.data.loading.batch import Batch, EncodedText, collate, image_keys, with_features
from lapse.data.loading.sample_table import (
    SampleTable,
    check_side,
    chosen_rows,
    length_sorted,
    load_tasks,
    split_records,
    vocabulary,
)
from lapse.data.store.store import Store

PARALLEL_TASK = "cap"  # parallel prediction is for captions only (paper 3.2.1)
Pixels = Callable[[str], NDArray[np.uint8]]
Features = Callable[[str], Tensor]  # image key -> the frozen encoder's tokens [N, D]


class BalancedStream:
    """The batches of a run. `batches(k)` never depends on what was asked for before.

    Args:
        table: the training samples.
        pixels: image key -> [S, S] uint8.
        config: the run; reads `data`, `loop` and `stage`.

    Attributes:
        features: adds an encoder's cached tokens to every batch when it is set.

    Raises:
        ValueError: no record is usable, or rows do not come out even.
    """

    def __init__(self, table: SampleTable, pixels: Pixels, config: RunConfig) -> None:
        self.table, self.pixels = table, pixels
        self.features: Features | None = None
        self.data, self.train, self.stage = config.data, config.train, config.stage
        rows = len(table.tasks) * self.data.regions_per_image
        size = self.train.batch_size
        if len(table) == 0:
            raise ValueError(
                f"no record has a sample of every task {[task.name for task in table.tasks]} "
                f"(records without: {table.missing}): check the store's training split"
            )
        if size % rows:
            raise ValueError(
                f"train.batch_size {size} is no multiple of {rows} = {len(table.tasks)} tasks x "
                f"{self.data.regions_per_image} regions: the tasks would not be equal"
            )
        self.records_per_step = size // rows

    @property
    def total_steps(self) -> int:
        """Steps of the whole run; epochs end within a step, nothing is dropped."""
        if self.train.steps is not None:
            return self.train.steps
        records = (self.train.epochs or 0) * len(self.table)
        return -(-records // self.records_per_step)

    def batches(self, step: int, rank: int = 0, world: int = 1) -> tuple[Batch, ...]:
        """The batches of one rank in one step: one per accumulation step and image count.

        Raises:
            ValueError: a rank or an accumulation step would get no record.
        """
        micros = self.train.gradient_accumulation_steps
        if self.records_per_step < world * micros:
            raise ValueError(
                f"one step has {self.records_per_step} records, too few for {world} ranks x "
                f"{micros} accumulation steps: raise train.batch_size or lower "
                "train.gradient_accumulation_steps"
            )
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
            batch = collate(
                samples,
                texts,
                read_pixels(self.pixels, samples),
                parallel=parallel,
                loss_on_given=self.data.loss_on_given,
            )
            yield batch if self.features is None else with_features(batch, self.features)

    def _rows(self, position: int) -> Iterator[tuple[Sample, EncodedText, bool]]:
        """The K x C rows of the record at one place of the endless stream."""
        epoch, place = divmod(position, len(self.table))
        number = int(_order(len(self.table), self.train.seed, self.stage, epoch)[place])
        record = self.table.record(number)
        for index, task in enumerate(self.table.tasks):
            key = (self.train.seed, self.stage, epoch, record.id, task.name)
            rows = self.table.rows(number, index)
            order = derive_permutation(len(rows), *key) if len(rows) > 1 else [0]
            for turn in range(self.data.regions_per_image):
                choice = order[turn % len(rows)]
                is_parallel = (
                    task.name == PARALLEL_TASK
                    and derive_uniform(*key, turn, "parallel") < self.data.parallel_fraction
                )
                sample = self.table.sample_of(record, index, choice)
                yield sample, self.table.text(rows[choice]), is_parallel


def read_pixels(pixels: Pixels, samples: Sequence[Sample]) -> dict[str, Tensor]:
    """The images that samples speak about, each once: key -> [S, S] uint8."""
    return {key: torch.from_numpy(np.array(pixels(key))) for key in image_keys(samples)}


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a run reads: batches to learn from, and per task fixed rows to watch."""

    tokenizer: Tokenizer
    stream: BalancedStream
    held_out: dict[str, tuple[SampleTable, list[int]]]


def read_training_data(
    store: Store, config: RunConfig, tokenizer: Tokenizer | None, say: Callable[[str], None]
) -> TrainingData:
    """Tokenise the training split and choose the held-out rows.

    Args:
        store: an open store, at the image side of the model.
        config: the run.
        tokenizer: that of the run being resumed; None makes the one `config` asks for.
        say: receives one line per fact: records left out, texts cut, vocabulary.

    Raises:
        ValueError: another image side, or nothing to train on.
    """
    side = check_side(store, config)
    tasks = load_tasks(config.data.tasks, side)
    records = split_records(store, tasks[0], "train")
    if tokenizer is None and config.data.vocabulary == "trimmed":
        tokenizer = Tokenizer(vocabulary(records, tasks, side))
        say(f"vocabulary: trimmed to {len(tokenizer.kept or ())} of {tokenizer.size} GPT-2 tokens")
    words = tokenizer or Tokenizer()
    longest = config.data.max_tokens
    needed = load_tasks((*config.data.tasks, *config.data.require_tasks), side)[len(tasks) :]
    table = SampleTable(
        records, tasks, words, max_tokens=longest, limit=config.data.max_records, needed=needed
    )
    for line in table.lines("train"):
        say(line)
    held_out = {}
    for task in tasks:
        watched = split_records(store, task, "validate")
        found = SampleTable(watched, (task,), words, max_tokens=longest)
        rows = chosen_rows(found.num_rows, max(1, config.train.eval_samples // len(tasks)))
        if rows:
            held_out[task.name] = (found, length_sorted(found, rows))
        else:
            say(f"validate: no {task.name} sample in the split, so its loss is not watched")
    return TrainingData(words, BalancedStream(table, store.pixels, config), held_out)


def prefetched(
    stream: BalancedStream, start: int, stop: int, *, rank: int = 0, world: int = 1
) -> Iterator[tuple[Batch, ...]]:
    """The batches of steps start .. stop - 1 in order, made by `train.num_workers` processes."""
    workers = stream.train.num_workers
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


def _fixed(
    table: SampleTable, group: list[tuple[int, Sample]], pixels: Pixels, config: RunConfig
) -> tuple[tuple[int, ...], Batch]:
    rows = tuple(row for row, _ in group)
    samples = [sample for _, sample in group]
    batch = collate(
        samples,
        [table.text(row) for row in rows],
        read_pixels(pixels, samples),
        loss_on_given=config.data.loss_on_given,
    )
    return rows, batch


class _Steps(Dataset[tuple[Batch, ...]]):
    def __init__(self, stream: BalancedStream, rank: int, world: int) -> None:
        self.stream, self.rank, self.world = stream, rank, world

    def __getitem__(self, step: int) -> tuple[Batch, ...]:
        return self.stream.batches(step, self.rank, self.world)


def _as_it_is(batches: list[Batch]) -> list[Batch]:
    return batches


@lru_cache(maxsize=2)
def _order(count: int, seed: int, stage: str, epoch: int) -> NDArray[np.int32]:
    """One epoch's permutation, remembered: a step needs one, at its border two."""
    return np.array(derive_permutation(count, seed, stage, epoch), np.int32)
