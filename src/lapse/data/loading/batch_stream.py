"""A balanced, seeded stream of batches that can start at any step.

Legend: R records in use  K tasks  C regions per image  B rows of one step

Paper 4.3: every batch holds the tasks in equal parts. A record gives C rows of each of its K
tasks, so that its image is encoded once for K x C texts:

    epoch 0: study 7, study 2, study 9 | study 4, ...      derive_permutation(R, seed, stage, epoch)
             each: cap x C, aref x C, gcap x C, caref x C   samples chosen by derive_permutation
             '---------- step 0 ----------' '- step 1

The batch of step k is a pure function of (configuration, data, k). Resuming means starting at
step k; workers, prefetching and the number of ranks do not change which rows a step has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby, islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lapse.config import DataConfig, RunConfig
from lapse.core.seeding import derive_index, derive_permutation, derive_uniform
from lapse.core.types import Sample
from lapse.data.loading.augmentation import Augmenter
from lapse.data.loading.batch import (
    Batch,
    EncodedText,
    ParallelForm,
    collate,
    image_keys,
    with_features,
    with_prefix_loss,
)
from lapse.data.loading.tokenized_dataset import TokenizedDataset

Pixels = Callable[[str], NDArray[np.uint8]]  # image key -> [S, S]
FeatureReader = Callable[[str], Tensor]  # image key -> the frozen encoder's tokens [N, D]


class BalancedBatchStream:
    """The training batches of a run.

    Args:
        dataset: the training samples.
        pixels: image key -> [S, S] uint8.
        config: the run; reads `data`, `train` and `stage`.

    Attributes:
        pixels: of the store, never augmented.
        augmenter: changes films and pairs (`data.augment`), or None.
        features: if set, adds an encoder's cached tokens to every batch.
        second: a stream whose batches follow in every step (`data.second_tasks`), or None.

    Raises:
        ValueError: no record is usable, or the tasks cannot have equal parts of a batch.
    """

    def __init__(self, dataset: TokenizedDataset, pixels: Pixels, config: RunConfig) -> None:
        self.dataset, self.pixels = dataset, pixels
        self.features: FeatureReader | None = None
        self.second: BalancedBatchStream | None = None
        self.augmenter = Augmenter(pixels, config) if config.data.augment.is_active else None
        self.data, self.train, self.stage = config.data, config.train, config.stage
        rows = rows_per_record(self.data, len(dataset.tasks))
        size = self.train.batch_size
        if len(dataset) == 0:
            raise ValueError(
                f"no record has a sample of every task {[task.name for task in dataset.tasks]} "
                f"(records without: {dataset.missing}): check the store's training split"
            )
        if size % rows:
            raise ValueError(
                f"train.batch_size {size} is not a multiple of {rows} = "
                f"{rows // self.data.regions_per_image} tasks x {self.data.regions_per_image} "
                "regions: the tasks would not be equal"
            )
        self.records_per_step = size // rows
        self.form = ParallelForm(
            attends=self.data.parallel_attention == "full",
            shows_prefix=self.data.parallel_prefix == "visible",
            knows_length=self.data.parallel_length == "known",
        )

    @property
    def total_steps(self) -> int:
        """Steps of the whole run; epochs end within a step, nothing is dropped."""
        if self.train.steps is not None:
            return self.train.steps
        records = (self.train.epochs or 0) * len(self.dataset)
        return math.ceil(records / self.records_per_step)

    def batches(self, step: int, rank: int = 0, world_size: int = 1) -> tuple[Batch, ...]:
        """The batches of one rank in one step: one per accumulation step and image count.

        Raises:
            ValueError: a rank or an accumulation step would get no record.
        """
        self.check_num_ranks(world_size)
        accumulation = self.train.gradient_accumulation_steps
        batches = tuple(
            batch
            for index in range(accumulation)
            for batch in self._slice(step, rank * accumulation + index, world_size * accumulation)
        )
        if self.second is None:
            return batches
        further = self.second.batches(step, rank, world_size)
        return (*batches, *(replace(batch, part=1) for batch in further))

    @property
    def task_names(self) -> tuple[str, ...]:
        """The names of all tasks of a step."""
        names = tuple(task.name for task in self.dataset.tasks)
        return names if self.second is None else (*names, *self.second.task_names)

    def check_num_ranks(self, world_size: int) -> None:
        """Refuse more ranks and accumulation steps than a step has records."""
        accumulation = self.train.gradient_accumulation_steps
        if self.records_per_step < world_size * accumulation:
            raise ValueError(
                f"one step has {self.records_per_step} records, too few for {world_size} ranks x "
                f"{accumulation} accumulation steps: raise train.batch_size or lower "
                "train.gradient_accumulation_steps"
            )
        if self.second is not None:
            self.second.check_num_ranks(world_size)

    def _slice(self, step: int, index: int, num_slices: int) -> Iterator[Batch]:
        count = self.records_per_step
        first = step * count
        start, stop = index * count // num_slices, (index + 1) * count // num_slices
        groups: dict[int, list[tuple[Sample, EncodedText, bool]]] = {}
        for position in range(first + start, first + stop):
            for row in self._rows(position):
                groups.setdefault(len(row[0].images), []).append(row)
        for num_images in sorted(groups):
            samples, texts, parallel = zip(*groups[num_images], strict=True)
            read = self.augmenter.pixels if self.augmenter else self.pixels
            pixels, on_given = read_pixels(read, samples), self.data.loss_on_given
            batch = collate(samples, texts, pixels, parallel=parallel, loss_on_given=on_given)
            batch = replace(batch, parallel_form=self.form)
            if self.data.loss_on_prefix:
                batch = with_prefix_loss(batch)
            yield batch if self.features is None else with_features(batch, self.features)

    def _rows(self, position: int) -> Iterator[tuple[Sample, EncodedText, bool]]:
        """The K x C rows of the record at one position of all epochs in a row.

        C rows of one task with `data.draw_task`.
        """
        epoch, index = divmod(position, len(self.dataset))
        order = _epoch_order(len(self.dataset), self.train.seed, self.stage, epoch)
        number = int(order[index])
        record = self.dataset.record(number)
        changed = None
        if self.augmenter is not None:
            changed = self.augmenter.changed(record, self.dataset.tasks, epoch)
        tasks = list(enumerate(self.dataset.tasks))
        if self.data.draw_task:
            draw = (self.train.seed, self.stage, epoch, record.id, "task")
            tasks = [tasks[derive_index(len(tasks), *draw)]]
        for task_index, task in tasks:
            key = (self.train.seed, self.stage, epoch, record.id, task.name)
            rows = self.dataset.rows(number, task_index)
            samples = [] if changed is None else list(task.samples(changed))
            count = len(samples) or len(rows)
            choices = derive_permutation(count, *key) if count > 1 else [0]
            for turn in range(self.data.regions_per_image):
                choice = choices[turn % count]
                is_parallel = (
                    task.name in self.data.parallel_tasks
                    and derive_uniform(*key, turn, "parallel") < self.data.parallel_fraction
                )
                if samples:
                    sample = samples[choice]
                    yield sample, self.dataset.encode(sample), is_parallel
                    continue
                sample = self.dataset.sample_of(record, task_index, choice)
                yield sample, self.dataset.text(rows[choice]), is_parallel


def rows_per_record(data: DataConfig, num_tasks: int) -> int:
    """Texts of one record in a step."""
    return (1 if data.draw_task else num_tasks) * data.regions_per_image


def read_pixels(pixels: Pixels, samples: Sequence[Sample]) -> dict[str, Tensor]:
    """The distinct images of samples: key -> [S, S] uint8."""
    return {key: torch.from_numpy(np.array(pixels(key))) for key in image_keys(samples)}


def fixed_batches(
    dataset: TokenizedDataset,
    rows: Sequence[int],
    pixels: Pixels,
    *,
    batch_size: int,
    loss_on_given: bool = True,
) -> Iterator[tuple[tuple[int, ...], Batch]]:
    """Batches of these rows in the given order, each with its rows.

    A batch ends early where the number of images per row changes. No row is parallel.
    """
    numbered = ((row, dataset.sample(row)) for row in rows)
    for _, same in groupby(numbered, key=lambda item: len(item[1].images)):
        while group := list(islice(same, batch_size)):
            numbers, samples = zip(*group, strict=True)
            texts = [dataset.text(row) for row in numbers]
            images = read_pixels(pixels, samples)
            yield numbers, collate(samples, texts, images, loss_on_given=loss_on_given)


@lru_cache(maxsize=2)
def _epoch_order(count: int, seed: int, stage: str, epoch: int) -> NDArray[np.int32]:
    """The permutation of one epoch, cached: a step needs one, and two where an epoch ends."""
    return np.array(derive_permutation(count, seed, stage, epoch), np.int32)
