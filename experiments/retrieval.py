"""How often a contrastive run finds the right text for a held-out image, beside chance.

    python experiments/retrieval.py RUN STORE [--split test] [--pool 64] [--pools 8]

Held-out rows are put into pools; within each pool every image (or region) is compared with every
text. A text that reads the same as the right one counts as right. Works for runs of
global_contrastive, regional_contrastive and blip2; prints one line.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from lapse.data.loading.batch import Batch, text_keys
from lapse.data.loading.batch_stream import fixed_batches
from lapse.data.loading.records import load_tasks, split_records
from lapse.data.loading.tokenized_dataset import DatasetOptions, TokenizedDataset
from lapse.data.store.store import open_store
from lapse.models.interface import TrainableModel
from lapse.training.run_folder import load_run


def likeness(model: TrainableModel, batch: Batch) -> Tensor:
    """[rows, texts]: how alike each image and each text of the batch are."""
    if hasattr(model, "image_vectors"):
        found: Tensor = model.image_vectors(batch) @ model.text_vectors(batch).t()
        return found
    similar: Tensor = model.similarity(model._seen(batch), model._texts(batch))
    return similar


def pools_of(table: TokenizedDataset, size: int, count: int) -> list[list[int]]:
    """Rows of distinct records, `size` to a pool, in the order of the store."""
    first = [table.rows(record, 0)[record % len(table.rows(record, 0))]
             for record in range(len(table))]  # fmt: skip
    return [
        first[low : low + size] for low in range(0, size * count, size) if low + size <= len(first)
    ]


@torch.no_grad()
def main() -> None:
    """Print recall at 1 and 5, and what a guess would reach."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--pool", type=int, default=64)
    parser.add_argument("--pools", type=int, default=8)
    asked = parser.parse_args()
    run, store = load_run(asked.run, "cpu"), open_store(asked.store)
    (task,) = load_tasks(run.config.data.tasks, store.info.size)
    records = split_records(store, task, asked.split)
    options = DatasetOptions(run.config.data.max_tokens)
    table = TokenizedDataset(records, (task,), run.tokenizer, options)
    hits = {1: 0.0, 5: 0.0}
    guess, total = 0.0, 0
    for rows in pools_of(table, asked.pool, asked.pools):
        ((_, batch),) = fixed_batches(table, rows, store.pixels, batch_size=len(rows))
        similar, keys = likeness(run.model, batch), text_keys(batch)
        is_right = keys[:, None] == keys[None, :]
        order = similar.argsort(dim=1, descending=True)
        for depth in hits:
            hits[depth] += float(is_right.gather(1, order[:, :depth]).any(dim=1).sum())
        guess += float(is_right.float().mean(dim=1).sum())
        total += len(rows)
    first, fifth = hits[1] / total, hits[5] / total
    print(
        f"{run.config.name} step {run.step}: {total} held-out rows in pools of {asked.pool}: "
        f"recall@1 {first:.3f} (a guess {guess / total:.3f}), recall@5 {fifth:.3f}"
    )


if __name__ == "__main__":
    main()
