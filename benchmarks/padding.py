"""Row: tokens computed for each token read, on the mixed lengths of real batches."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import material
from benchmarks.row import Check, Row
from lapse.config import load_config
from lapse.data.loading.training_data import read_training_data
from lapse.data.store.store import open_store
from lapse.models.pretraining.captioner import length_groups

STEPS = 100
SIZES = ("model.encoder.image_size=64", "model.encoder.patch_size=8")


def run(say: Callable[[str], None]) -> Row:
    """Share over the batches of a hundred steps of `pretrain-tiny`."""
    config = load_config("pretrain-tiny", SIZES)
    data = read_training_data(open_store(material.phantom_store()), config)
    say("padding: counting")
    read = flat = computed = groups = 0
    for step in range(STEPS):
        for batch in data.stream.batches(step):
            lengths = batch.lengths.tolist()
            parts = length_groups(lengths)
            read += sum(lengths)
            flat += len(lengths) * max(lengths)
            computed += sum(len(rows) * max(lengths[row] for row in rows) for rows in parts)
            groups += len(parts)
    return Row(
        "padding",
        "rows of one batch in groups of like length",
        f"one rectangle a batch: {flat / read:.2f}",
        (
            Check(
                "tokens computed for each token read",
                computed / read,
                1.10,
                is_at_least=False,
                detail=f"{groups / STEPS:.1f} groups of {config.train.batch_size} rows",
            ),
        ),
        "1.00, with a group for every length and as many small matrix products",
    )
