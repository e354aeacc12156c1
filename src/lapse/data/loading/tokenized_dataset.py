"""All samples of some records, tokenized once into flat arrays.

Legend: R records in use  K tasks

    rows of record r, task t:  first[r * K + t] .. first[r * K + t + 1]
    tokens of a row:           ids[offsets[row] .. offsets[row + 1]]

Tokenizing in every step takes up to half of a small training step.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np

from lapse.core.seeding import derive_index
from lapse.core.tokenizer import Tokenizer
from lapse.core.types import Sample
from lapse.data.loading.batch import EncodedText, encode_sample
from lapse.data.tasks.base import Record, Task


@dataclass(frozen=True, slots=True)
class DatasetOptions:
    """Which records are used, and how long their texts are.

    Attributes:
        max_tokens: longer texts are truncated and counted in `num_truncated`.
        max_records: use at most this many records. None: all.
        required_tasks: further tasks that a record must have a sample of; their samples are not
            part of the dataset.
    """

    max_tokens: int
    max_records: int | None = None
    required_tasks: tuple[Task, ...] = ()


class TokenizedDataset:
    """All samples of some records, tokenized once into flat arrays.

    Only token ids are kept (two bytes each); a `Sample` is built from its record when a batch
    needs it. A record without a sample of one of the tasks is left out and counted.

    Args:
        records: studies or pairs.
        tasks: what to make of each record.
        tokenizer: the run's tokenizer.
        options: which records, how long texts.

    Attributes:
        used: [R] int64, the indices of the records in use.
        missing: task name -> number of records without a sample of it.
        num_truncated: samples that were longer than `max_tokens`.

    Raises:
        ValueError: a prompt alone has `max_tokens` tokens or more.
    """

    def __init__(
        self,
        records: Sequence[Record],
        tasks: Sequence[Task],
        tokenizer: Tokenizer,
        options: DatasetOptions,
    ) -> None:
        self.records, self.tasks = records, tuple(tasks)
        names = [task.name for task in (*tasks, *options.required_tasks)]
        self.missing = dict.fromkeys(names, 0)
        self.max_tokens = options.max_tokens
        self.num_truncated = 0
        self._tokenizer = memo = _MemoTokenizer(tokenizer)
        ids, used = array("H"), array("q")
        offsets, first = array("q", [0]), array("q", [0])
        parts = array("H")
        for index, record in enumerate(records):
            if options.max_records is not None and len(used) >= options.max_records:
                break
            groups = [list(task.samples(record)) for task in self.tasks]
            counts = [len(group) for group in groups]
            counts += [sum(1 for _ in task.samples(record)) for task in options.required_tasks]
            for name, count in zip(names, counts, strict=True):
                self.missing[name] += count == 0
            if not all(counts):
                continue
            used.append(index)
            for group in groups:
                for sample in group:
                    text = encode_sample(sample, memo, options.max_tokens)
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

    def summary(self, split: str) -> list[str]:
        """One sentence per fact: records and samples in use, records left out."""
        lines = [
            f"{split}: {len(self)} of {len(self.records)} records in use, {self.num_rows} samples"
        ]
        lines += [
            f"{split}: {count} records have no {name} sample and are left out"
            for name, count in self.missing.items()
            if count
        ]
        return lines

    def rows(self, number: int, task: int) -> range:
        """Rows of one task of the record in use with this number; never empty."""
        cell = number * len(self.tasks) + task
        return range(int(self._first[cell]), int(self._first[cell + 1]))

    def text(self, row: int) -> EncodedText:
        """The tokens of one row."""
        if self._parts is None:
            raise ValueError("the dataset is empty: it has no row")
        start, stop = int(self._offsets[row]), int(self._offsets[row + 1])
        prefix, prompt = (int(value) for value in self._parts[row])
        return EncodedText(tuple(self._ids[start:stop].tolist()), prefix, prompt)

    def encode(self, sample: Sample) -> EncodedText:
        """The tokens of a sample that is not in the dataset, such as one with a moved box."""
        return encode_sample(sample, self._tokenizer, self.max_tokens)

    def record(self, number: int) -> Record:
        """The record in use with this number, read from the store."""
        return self.records[int(self.used[number])]

    def sample_of(self, record: Record, task: int, position: int) -> Sample:
        """The sample of a task of a record at this position; later ones are not built."""
        return next(islice(self.tasks[task].samples(record), position, None))

    def sample(self, row: int) -> Sample:
        """The sample of one row."""
        cell = int(np.searchsorted(self._first, row, side="right")) - 1
        number, task = divmod(cell, len(self.tasks))
        return self.sample_of(self.record(number), task, row - int(self._first[cell]))


def sort_by_prompt_length(dataset: TokenizedDataset, rows: Sequence[int]) -> list[int]:
    """Rows by the length of their prompt, then as stored, which keeps padding small."""
    return sorted(rows, key=lambda row: (dataset.text(row).prompt, row))


def select_indices(total: int, count: int) -> list[int]:
    """At most `count` of the indices 0 .. total - 1, spread over all; the same in every run."""
    if count >= total:
        return list(range(total))
    indices: set[int] = set()
    draw = 0
    while len(indices) < count:
        indices.add(derive_index(total, "chosen", draw))
        draw += 1
    return sorted(indices)


class _MemoTokenizer(Tokenizer):
    """A tokenizer with a cache: prefixes, region names and template answers repeat."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.end, self.size, self.kept = tokenizer.end, tokenizer.size, tokenizer.kept
        self._cached_encode = lru_cache(maxsize=1 << 16)(tokenizer.encode)

    def encode(self, text: str) -> list[int]:
        return self._cached_encode(text)
