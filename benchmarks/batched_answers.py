"""Row: answering pairs in batches sorted by length, against one pair after another."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks import material
from benchmarks.row import Check, Row, alternate
from lapse.config import GenerationConfig, load_config
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch_stream import fixed_batches
from lapse.data.loading.records import load_tasks, split_records, trimmed_vocabulary
from lapse.data.loading.tokenized_dataset import (
    DatasetOptions,
    TokenizedDataset,
    sort_by_prompt_length,
)
from lapse.data.store.store import open_store
from lapse.training.run_folder import build_model

PAIRS, BATCH = 256, 16
DECODE = GenerationConfig(num_beams=4, max_new_tokens=6)
SIZES = (
    "model.encoder.image_size=64",
    "model.encoder.patch_size=8",
    "model.encoder.layers=2",
    "model.language_model.layers=2",
    "data.tasks=[diff_vqa]",
)


def run(say: Callable[[str], None]) -> Row:
    """Time of 256 answers, and how many are the same."""
    store = open_store(material.phantom_store())
    config = load_config("diffvqa-tiny", SIZES)
    tasks = load_tasks(config.data.tasks, store.info.size)
    records = split_records(store, tasks[0], "train")
    tokenizer = Tokenizer(trimmed_vocabulary(records, tasks, store.info.size))
    dataset = TokenizedDataset(
        records, tasks, tokenizer, DatasetOptions(config.data.max_tokens, PAIRS)
    )
    model = build_model(config, tokenizer).eval()
    ordered = sort_by_prompt_length(dataset, range(dataset.num_rows))[:PAIRS]

    def answers(size: int) -> list[str]:
        found: dict[int, str] = {}
        for held, batch in fixed_batches(dataset, ordered, store.pixels, batch_size=size):
            with torch.no_grad():
                found |= dict(zip(held, model.answer(batch, DECODE), strict=True))
        return [found[row] for row in ordered]

    together, alone = answers(BATCH), answers(1)
    same = sum(left == right for left, right in zip(together, alone, strict=True))
    say(f"batched_answers: {len(ordered)} pairs, alternating")
    ratios = alternate(lambda: answers(BATCH), lambda: answers(1))
    prompts = [dataset.text(row).prompt for row in ordered]
    padded = sum(
        len(prompts[start : start + BATCH]) * max(prompts[start : start + BATCH])
        for start in range(0, len(prompts), BATCH)
    )
    return Row(
        "batched_answers",
        f"{len(ordered)} pairs by length, {BATCH} at a time, {DECODE.num_beams} beams",
        "one by one",
        (
            ratios.check("time", 2.0),
            Check("share of identical answers", same / len(ordered), 0.99),
        ),
        f"{padded / sum(prompts):.3f} prompt tokens computed for each that is read; the operations "
        "are the same, what goes is the start of small kernels",
        ("random weights: near ties of two beams may fall differently in another batch",),
    )
