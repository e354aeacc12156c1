"""Row: tokens computed per token read, on batches of mixed lengths."""

from __future__ import annotations

from benchmarks import inputs
from benchmarks.row import Row, at_most, logger
from lapse.config import load_config
from lapse.data.loading.training_data import read_training_data
from lapse.data.store.store import open_store
from lapse.models.backbones.cross_attention_decoder import length_groups

STEPS = 100
SIZES = ("model.encoder.image_size=64", "model.encoder.patch_size=8")


def run() -> Row:
    """The ratio over the batches of a hundred steps of `pretrain-tiny`."""
    config = load_config("pretrain-tiny", SIZES)
    data = read_training_data(open_store(inputs.phantom_store()), config)
    logger.info("padding: counting")
    num_read = num_rectangular = num_computed = num_groups = 0
    for step in range(STEPS):
        for batch in data.stream.batches(step):
            lengths = batch.lengths.tolist()
            groups = length_groups(lengths)
            num_read += sum(lengths)
            num_rectangular += len(lengths) * max(lengths)
            num_computed += sum(len(rows) * max(lengths[row] for row in rows) for rows in groups)
            num_groups += len(groups)
    detail = f"{num_groups / STEPS:.1f} groups of {config.train.batch_size} rows"
    return Row(
        "padding",
        "rows of a batch in groups of similar length",
        f"one rectangle per batch: {num_rectangular / num_read:.2f}",
        (at_most("tokens computed per token read", num_computed / num_read, 1.10, detail),),
        "1.00, with one group per length and as many small matrix products",
    )
