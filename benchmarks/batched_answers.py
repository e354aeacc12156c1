"""Row: answering pairs in batches sorted by length, against one pair after another."""

from __future__ import annotations

from functools import partial

import torch

from benchmarks import inputs
from benchmarks.row import Check, Row, alternate, logger
from lapse.config import GenerationConfig, load_config
from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.data.loading.batch_stream import fixed_batches
from lapse.data.loading.records import load_tasks, sample_texts, split_records
from lapse.data.loading.tokenized_dataset import (
    DatasetOptions,
    TokenizedDataset,
    sort_by_prompt_length,
)
from lapse.data.store.store import open_store
from lapse.training.run_folder import build_model

PAIRS, BATCH = 256, 16
GENERATION = GenerationConfig(num_beams=4, max_new_tokens=6)
SIZES = (
    "model.encoder.image_size=64",
    "model.encoder.patch_size=8",
    "model.encoder.layers=2",
    "model.language_model.layers=2",
    "data.tasks=[diff_vqa]",
)


def run() -> Row:
    """Time of 256 answers, and the fraction of equal ones."""
    store = open_store(inputs.phantom_store())
    config = load_config("diffvqa-tiny", SIZES)
    tasks = load_tasks(config.data.tasks, store.info.size)
    records = split_records(store, tasks[0], "train")
    tokenizer = Tokenizer(trimmed_ids(sample_texts(records, tasks)))
    dataset = TokenizedDataset(
        records, tasks, tokenizer, DatasetOptions(config.data.max_tokens, PAIRS)
    )
    model = build_model(config, tokenizer).eval()
    rows = sort_by_prompt_length(dataset, range(dataset.num_rows))[:PAIRS]

    def answers(batch_size: int) -> list[str]:
        texts: dict[int, str] = {}
        for batch_rows, batch in fixed_batches(dataset, rows, store.pixels, batch_size=batch_size):
            with torch.no_grad():
                texts |= zip(batch_rows, model.answer(batch, GENERATION), strict=True)
        return [texts[row] for row in rows]

    num_equal = sum(
        batched == single for batched, single in zip(answers(BATCH), answers(1), strict=True)
    )
    logger.info("batched_answers: measuring %d pairs", len(rows))
    ratios = alternate(partial(answers, BATCH), partial(answers, 1))
    prompts = [dataset.text(row).prompt for row in rows]
    batches = [prompts[start : start + BATCH] for start in range(0, len(prompts), BATCH)]
    num_computed = sum(len(batch) * max(batch) for batch in batches)
    return Row(
        "batched_answers",
        f"{len(rows)} pairs by length, {BATCH} at a time, {GENERATION.num_beams} beams",
        "one by one",
        (
            ratios.check("time", 2.0),
            Check("fraction of identical answers", num_equal / len(rows), 0.99),
        ),
        f"{num_computed / sum(prompts):.3f} prompt tokens computed per prompt token; the "
        "operations are equal, only the overhead of small kernels is saved",
        ("random weights: near ties of two beams may be decided differently in another batch",),
    )
