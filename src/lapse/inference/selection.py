"""The samples that a split is answered for, in windows: a part of them is in memory at a time.

    records of the store --task--> samples --limit, probe--> windows of at most WINDOW samples

The rows of a predictions file are the samples of all windows in order.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from lapse.core.types import Sample
from lapse.data.loading.records import load_tasks, split_records
from lapse.data.loading.tokenized_dataset import select_indices
from lapse.data.store.store import Store
from lapse.data.tasks.base import Task
from lapse.inference.probes import check_probe, probe_samples

logger = logging.getLogger(__name__)
WINDOW = 4096  # samples; batches of similar lengths are formed within a window


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive samples of one task; `first` is the row of the first one in the file."""

    first: int
    samples: tuple[Sample, ...]


class SampleSelection:
    """The samples to answer. Every iteration gives the same windows.

    Args:
        split: "train", "validate" or "test".
        limit: at most this many samples over all tasks, in equal parts; None for all. The choice
            depends on the store alone.
        probe: one of `lapse.inference.probes.PROBES`, or None for the samples themselves.

    Raises:
        ValueError: unknown task, split or probe.
    """

    def __init__(
        self,
        store: Store,
        split: str,
        tasks: Sequence[str],
        *,
        limit: int | None = None,
        probe: str | None = None,
    ) -> None:
        self.store, self.split, self.probe = store, split, probe
        self._tasks: list[tuple[Task, frozenset[int] | None]] = []
        for index, name in enumerate(tasks):
            (task,) = load_tasks((name,), store.info.size)
            chosen = None
            if limit is not None:
                count = limit // len(tasks) + (index < limit % len(tasks))
                total = sum(1 for _ in self._samples(task))
                chosen = frozenset(select_indices(total, count))
            self._tasks.append((task, chosen))
        self._references: list[tuple[str, str]] = []
        if probe is not None:
            check_probe(probe)
            pairs = store.pairs_of(split)
            references = ((pair.reference.patient, pair.reference.image) for pair in pairs)
            self._references = list(dict.fromkeys(references))

    def windows(self, *, is_logging: bool = False) -> Iterator[Window]:
        """The windows in order.

        Args:
            is_logging: log how many samples of each task have no counterpart under the probe.
        """
        row = 0
        for task, chosen in self._tasks:
            samples = (
                sample
                for index, sample in enumerate(self._samples(task))
                if chosen is None or index in chosen
            )
            skipped, num_samples = Counter[str](), 0
            while group := tuple(islice(samples, WINDOW)):
                num_samples += len(group)
                if self.probe is not None:
                    probed = probe_samples(self.probe, group, self._references)
                    group = probed.samples
                    skipped.update(probed.skipped)
                yield Window(row, group)
                row += len(group)
            for reason, count in skipped.items() if is_logging else ():
                logger.info(
                    "probe %s: %d of %d left out: %s", self.probe, count, num_samples, reason
                )

    def _samples(self, task: Task) -> Iterator[Sample]:
        for record in split_records(self.store, task, self.split):
            yield from task.samples(record)
