"""Image-to-text retrieval of a contrastive run, compared with chance.

    python experiments/retrieval.py RUN STORE [--split test] [--pool 64] [--pools 8]

Held-out rows form pools; within each pool every image (or region) is compared with every text. A
text equal to the correct one counts as correct. For runs of global_contrastive,
regional_contrastive and blip2.
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


def similarity(model: TrainableModel, batch: Batch) -> Tensor:
    """The similarity of each image and each text of the batch, [rows, texts]."""
    if hasattr(model, "image_vectors"):
        return model.image_vectors(batch) @ model.text_vectors(batch).t()
    return model.similarity(model.image_memory(batch), model.texts(batch))


def build_pools(dataset: TokenizedDataset, size: int, count: int) -> list[list[int]]:
    """At most `count` pools of `size` rows of distinct records, in the order of the store."""
    rows = [
        dataset.rows(record, 0)[record % len(dataset.rows(record, 0))]
        for record in range(len(dataset))
    ]
    starts = range(0, min(size * count, len(rows) - size + 1), size)
    return [rows[start : start + size] for start in starts]


@torch.no_grad()
def main() -> None:
    """Print recall at 1 and 5, and recall at 1 of a random guess."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--pool", type=int, default=64)
    parser.add_argument("--pools", type=int, default=8)
    options = parser.parse_args()
    run, store = load_run(options.run, "cpu"), open_store(options.store)
    (task,) = load_tasks(run.config.data.tasks, store.info.size)
    records = split_records(store, task, options.split)
    dataset = TokenizedDataset(
        records, (task,), run.tokenizer, DatasetOptions(run.config.data.max_tokens)
    )
    hits = {1: 0.0, 5: 0.0}
    chance, total = 0.0, 0
    for rows in build_pools(dataset, options.pool, options.pools):
        ((_, batch),) = fixed_batches(dataset, rows, store.pixels, batch_size=len(rows))
        keys = text_keys(batch)
        is_correct = keys[:, None] == keys[None, :]
        order = similarity(run.model, batch).argsort(dim=1, descending=True)
        for depth in hits:
            hits[depth] += float(is_correct.gather(1, order[:, :depth]).any(dim=1).sum())
        chance += float(is_correct.float().mean(dim=1).sum())
        total += len(rows)
    print(
        f"{run.config.name} step {run.step}: {total} held-out rows in pools of {options.pool}: "
        f"recall@1 {hits[1] / total:.3f} (chance {chance / total:.3f}), "
        f"recall@5 {hits[5] / total:.3f}"
    )


if __name__ == "__main__":
    main()
