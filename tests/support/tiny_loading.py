"""Tokenized records and batches of a tiny store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

import tiny_model
import tiny_store
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch
from lapse.data.loading.batch_stream import BalancedBatchStream
from lapse.data.loading.records import load_tasks
from lapse.data.loading.tokenized_dataset import DatasetOptions, TokenizedDataset
from lapse.data.store.store import Store
from lapse.data.tasks.base import Record

TASKS = ("cap", "aref", "gcap", "caref")


def tokenize(
    records: Sequence[Record], names: Sequence[str] = TASKS, **options: Any
) -> TokenizedDataset:
    """The samples of these tasks; `options` are fields of `DatasetOptions`."""
    tasks = load_tasks(names, tiny_store.SIDE)
    return TokenizedDataset(
        records, tasks, Tokenizer(), DatasetOptions(**{"max_tokens": 96, **options})
    )


def stream_of(store: Store, **changes: object) -> BalancedBatchStream:
    """The training batches of a tiny run; `changes` are keys such as `train__num_workers`."""
    config = tiny_model.config(data__vocabulary="full", **changes)
    dataset = tokenize(store.studies_of("train"), max_records=config.data.max_records)
    return BalancedBatchStream(dataset, store.pixels, config)


def same(left: Batch, right: Batch) -> bool:
    """Whether two batches have the same samples and the same bits in all tensors."""
    for name in left.__dataclass_fields__:
        a, b = getattr(left, name), getattr(right, name)
        if isinstance(a, torch.Tensor):
            if not isinstance(b, torch.Tensor) or a.dtype != b.dtype or not torch.equal(a, b):
                return False
        elif a != b:
            return False
    return True
