"""Records -> all their samples, tokenised once into flat arrays.

Legend: R records in use  K tasks

    rows of record r, task t:  first[r * K + t] .. first[r * K + t + 1]
    tokens of a row:           ids[offsets[row] .. offsets[row + 1]]

Making texts on the fly took up to half of a small training step; here it happens once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Protocol, TypeAlias

import numpy as np

from lapse.config import RunConfig
from lapse.core import registry
from lapse.core.seeding import derive_index
from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.core.types import Sample
from lapse.data.loading.batch import EncodedText, encode_sample
from lapse.data.store.store import Store

Record: TypeAlias = Any  # Study or Pair, whichever the task reads


class Task(Protocol):
    """What `lapse.data.tasks` holds: a record -> its samples."""

    name: str
    records: str

    def samples(self, record: Record) -> Iterator[Sample]:
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


def split_records(store: Store, task: Task, split: str) -> Sequence[Record]:
    """The studies or pairs of a split, whichever the task needs."""
    records: Sequence[Record] = (
        store.pairs_of(split) if task.records == "pairs" else store.studies_of(split)
    )
    return records


def check_side(store: Store, config: RunConfig) -> int:
    """The store's image side in pixels, which is also the number of box bins.

    Raises:
        ValueError: the model reads images of another side.
    """
    side = store.info.size
    wanted = config.model.get("encoder", {}).get("image_size", side)
    if wanted != side:
        raise ValueError(
            f"the store holds {side} px images, model.encoder.image_size is {wanted}: prepare the "
            f"data with --size {wanted} or change the model"
        )
    return side


def vocabulary(records: Sequence[Record], tasks: Sequence[Task], num_bins: int) -> tuple[int, ...]:
    """GPT-2 ids in use in these records' samples, and those of every box number."""

    def texts() -> Iterator[str]:
        for value in range(num_bins):
            yield f"[{value}, {value}, {value}, {value}]"
            yield f" [{value}, {value}, {value}, {value}]"
        for record in records:
            for task in tasks:
                for sample in task.samples(record):
                    yield sample.prefix
                    yield f" {sample.given}"
                    yield sample.answer
                    yield from (f" {report}" for report in sample.reports)

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
        needed: tasks that a record must have a sample of besides; none of theirs is kept.

    Attributes:
        missing: task name -> number of records without a sample of it.

    Raises:
        ValueError: a prompt alone fills `max_tokens`.
    """

    def __init__(
        self,
        records: Sequence[Record],
        tasks: Sequence[Task],
        tokenizer: Tokenizer,
        *,
        max_tokens: int,
        limit: int | None = None,
        needed: Sequence[Task] = (),
    ) -> None:
        self.records, self.tasks = records, tuple(tasks)
        self.missing = {task.name: 0 for task in (*tasks, *needed)}
        self.num_truncated = 0
        memo = _MemoTokenizer(tokenizer.kept)
        ids, used = array("H"), array("q")
        offsets, first = array("q", [0]), array("q", [0])
        parts = array("H")
        for index, record in enumerate(records):
            if limit is not None and len(used) >= limit:
                break
            found = [list(task.samples(record)) for task in self.tasks]
            others = [any(True for _ in task.samples(record)) for task in needed]
            for task, has in zip((*self.tasks, *needed), (*found, *others), strict=True):
                self.missing[task.name] += not has
            if not all(found) or not all(others):
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

    def lines(self, split: str) -> list[str]:
        """What is in use and what is not, one sentence each."""
        total = len(self.records)
        lines = [f"{split}: {len(self)} of {total} records in use, {self.num_rows} samples"]
        lines += [
            f"{split}: {count} records have no {name} sample and are left out"
            for name, count in self.missing.items()
            if count
        ]
        if self.num_truncated:
            lines.append(
                f"{split}: {self.num_truncated} samples longer than data.max_tokens lost their end"
            )
        return lines

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

    def record(self, number: int) -> Record:
        """The record in use with this number, read from the store."""
        return self.records[int(self.used[number])]

    def sample_of(self, record: Record, task: int, position: int) -> Sample:
        """The sample of a task of a record at this position; later ones are not built."""
        return next(islice(self.tasks[task].samples(record), position, None))

    def locate(self, row: int) -> tuple[int, int, int]:
        """Record, task and place within the task, of one row."""
        cell = int(np.searchsorted(self._first, row, side="right")) - 1
        record, task = divmod(cell, len(self.tasks))
        return record, task, row - int(self._first[cell])

    def sample(self, row: int) -> Sample:
        """The sample of one row."""
        number, task, position = self.locate(row)
        return self.sample_of(self.record(number), task, position)


def length_sorted(table: SampleTable, rows: Sequence[int]) -> list[int]:
    """Rows by the length of their prompt, then as stored, so that little is padding."""
    return sorted(rows, key=lambda row: (table.text(row).prompt, row))


def chosen_rows(num_rows: int, count: int) -> list[int]:
    """At most `count` of the rows of a table, spread over it; the same ones for every run."""
    if count >= num_rows:
        return list(range(num_rows))
    rows: set[int] = set()
    draw = 0
    while len(rows) < count:
        rows.add(derive_index(num_rows, "chosen", draw))
        draw += 1
    return sorted(rows)


class _MemoTokenizer(Tokenizer):
    """A tokenizer that remembers: prefixes, region names and template answers repeat."""

    def __init__(self, kept: Sequence[int] | None) -> None:
        super().__init__(kept)
        self._remembered = lru_cache(maxsize=1 << 16)(super().encode)

    def encode(self, text: str) -> list[int]:
        return self._remembered(text)
