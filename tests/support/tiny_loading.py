"""Tokenized records of a tiny store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tiny_store
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.records import Record, load_tasks
from lapse.data.loading.tokenized_dataset import DatasetOptions, TokenizedDataset

TASKS = ("cap", "aref", "gcap", "caref")


def tokenize(
    records: Sequence[Record], names: Sequence[str] = TASKS, **options: Any
) -> TokenizedDataset:
    """The samples of these tasks; `options` are fields of `DatasetOptions`."""
    tasks = load_tasks(names, tiny_store.SIDE)
    return TokenizedDataset(
        records, tasks, Tokenizer(), DatasetOptions(**{"max_tokens": 96, **options})
    )
