"""Row: batches from two worker processes to the main process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks import inputs
from benchmarks.gpu import LENGTHS
from benchmarks.row import Check, Row, alternate, logger
from lapse.data.loading.batch import Batch
from lapse.data.loading.batch_stream import BalancedBatchStream
from lapse.data.loading.batch_workers import STEPS_AHEAD, iterate_batches

IMAGES, SIZE, STEPS, WORKERS = 8, 448, 100, 2


class Copies:
    """Equal batches, so that only the transport is measured."""

    train = SimpleNamespace(num_workers=WORKERS)

    def __init__(self) -> None:
        self.batch = inputs.captions(SIZE, IMAGES, LENGTHS, range(5000))

    def batches(self, _step: int, *_ranks: int) -> tuple[Batch, ...]:
        """The batch of every step."""
        return (replace(self.batch, images=self.batch.images.clone()),)


class CopiesDataset(Dataset[Any]):
    """The same batches as a dataset."""

    def __init__(self, source: Copies) -> None:
        self.source = source

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, step: int) -> tuple[Batch, ...]:
        return self.source.batches(step)


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def run() -> Row:
    """CPU time of all processes for the same number of batches."""
    source = Copies()
    stream = cast("BalancedBatchStream", source)  # the loader reads these two attributes only
    logger.info("batch_workers: measuring")

    def ours() -> Iterator[tuple[Batch, ...]]:
        return iterate_batches(stream, 0, STEPS)

    def peer() -> Iterator[tuple[Batch, ...]]:
        dataset = CopiesDataset(source)
        return iter(
            DataLoader(dataset, batch_size=None, num_workers=WORKERS, prefetch_factor=STEPS_AHEAD)
        )

    def read(batches: Iterator[tuple[Batch, ...]]) -> int:
        return sum(int(torch.equal(batch.tokens, source.batch.tokens)) for (batch,) in batches)

    ratios = alternate(lambda: read(ours()), lambda: read(peer()), clock=cpu_seconds)
    equal = min(read(ours()), read(peer())) / STEPS
    megabytes = source.batch.images.numel() / 1e6
    return Row(
        "batch_workers",
        f"{STEPS} batches of {IMAGES} images from {WORKERS} processes through a pipe each",
        "DataLoader of torch, shared memory",
        (ratios.check("CPU time of all processes", 1.0), Check("equal batches", equal, 1.0)),
        f"{megabytes:.1f} MB per batch, copied twice",
        ("the start of the processes is included",),
    )
