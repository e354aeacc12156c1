"""Row: four times the data take four times as long and no more memory; training does not grow."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks.inputs import phantom_store, scratch
from benchmarks.memory import peak_bytes, resident_bytes
from benchmarks.row import Job, Row, at_most, logger
from benchmarks.scoring import answers
from lapse.config import load_config
from lapse.core.tokenizer import Tokenizer
from lapse.core.types import Box, Pair, Region, Study
from lapse.data.loading.records import load_tasks
from lapse.data.loading.tokenized_dataset import DatasetOptions, TokenizedDataset
from lapse.data.store.info import Origin
from lapse.data.store.store import open_store
from lapse.data.store.writer import write_store
from lapse.evaluation.evaluate import evaluate
from lapse.training.trainer import Callbacks, train

IMAGE_SIZE, REPEATS = 16, 3
SMALL, LARGE = 1_000, 100_000
FACTORS = (1, 2, 4)
EARLY, LATE = 50, 500  # steps between which the memory of training is compared
MEGABYTE = 1e6
TINY = (
    "model.encoder={image_size: 64, patch_size: 16, channels: 1, width: 24, layers: 1, heads: 2,"
    " mlp_width: 48}",
    "model.decoder={width: 24, layers: 1, heads: 2, mlp_width: 48, max_tokens: 160}",
    "model.adapter_width=24",
    "train.precision=fp32",
    f"train.steps={LATE}",
    f"train.eval_every={LATE}",
    f"train.save_every={LATE}",
    "train.eval_samples=32",
    "train.batch_size=4",
)


def build_study(number: int) -> Study:
    """A record of realistic length."""
    return Study(
        id=f"i{number}",
        study=str(number),
        patient=str(number // 2),
        image=f"i{number}",
        view="PA",
        split="train",
        taken_at=datetime(2150, 1, 1),
        report=f"There is no edema. Case {number} is as before. " * 3,
        regions=(Region("right lung", ("There is no edema.",), Box(0.1, 0.1, 0.5, 0.9)),),
    )


def store_of(count: int) -> Path:
    """A store of that many images and half as many pairs."""
    folder = scratch() / f"growth-{count}"
    if not folder.exists():
        studies = [build_study(number) for number in range(count)]
        pairs = [
            Pair(
                id=f"{reference.id}-{main.id}",
                reference=reference,
                main=main,
                question="what has changed compared to the reference image?",
                answer="nothing has changed.",
                category="difference",
                split="train",
            )
            for reference, main in zip(studies[::2], studies[1::2], strict=True)
        ]
        image = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        origin = Origin("patient-safe", "0" * 16, "generated", "none", "zeros")
        records = ((study, image) for study in studies)
        write_store(folder, records, pairs, size=IMAGE_SIZE, origin=origin)
    return folder


def read_images(count: int) -> None:
    """Read every record and its pixels, in order."""
    store = open_store(store_of(count))
    for study in store.studies:
        np.array(store.pixels(study.image))


def read_pairs(count: int) -> None:
    """Tokenize the questions and answers of every pair."""
    store = open_store(store_of(count))
    tasks = load_tasks(("diff_vqa",), IMAGE_SIZE)
    TokenizedDataset(store.pairs_of("train"), tasks, Tokenizer(), DatasetOptions(max_tokens=160))


def score_answers(count: int) -> None:
    """Compute change scores with their intervals."""
    evaluate(answers(count), metrics={"diff_vqa": ("changes",)})


def job(folder: str) -> Job:
    """Read a store from end to end, for the memory measurement."""
    return lambda: [None for study in open_store(Path(folder)).studies if study.report == "-"]


def training_growth(folder: Path) -> float:
    """Bytes that training gains between step 50 and step 500, in this process."""
    resident: dict[int, int] = {}

    def record(step: int) -> None:
        if step in (EARLY, LATE):
            resident[step] = resident_bytes()

    config, callbacks = load_config("pretrain-tiny", TINY), Callbacks(on_step=record)
    train(config, phantom_store(), folder, callbacks=callbacks)
    return resident[LATE] - resident[EARLY]


def run() -> Row:
    """Times for one, two and four times the data; memory of reading and of training."""
    checks = []
    cases: tuple[tuple[str, Callable[[int], None], int], ...] = (
        ("images", read_images, 8_000),
        ("pairs", read_pairs, 4_000),
        ("answers", score_answers, 1_000),
    )
    for name, function, count in cases:
        logger.info("growth: measuring %s", name)
        seconds = []
        for factor in FACTORS:
            function(factor * count)  # builds the store and fills caches
            seconds.append(min(_seconds(function, factor * count) for _ in range(REPEATS)))
        detail = f"{FACTORS}: " + ", ".join(f"{value:.2f} s" for value in seconds)
        checks.append(at_most(f"time for 4x the {name}", seconds[-1] / seconds[0], 4.4, detail))
    logger.info("growth: measuring the memory of records")
    small, large = (
        peak_bytes(__name__, folder=str(store_of(count))) / MEGABYTE for count in (SMALL, LARGE)
    )
    detail = f"{small:.0f} MB and {large:.0f} MB"
    checks.append(at_most(f"MB of {LARGE:,} records over {SMALL:,}", large - small, 50.0, detail))
    logger.info("growth: measuring the memory of training")
    growth = training_growth(scratch() / "growth-run") / MEGABYTE
    checks.append(at_most(f"MB from step {EARLY} to step {LATE}", growth, 5.0))
    return Row(
        "growth",
        "1x, 2x and 4x the data",
        "1x the data",
        tuple(checks),
        "4.00 where all work is proportional; less where a part is done once",
        ("reading a store from end to end; experiments/log.md has the memory of lapse prepare",),
    )


def _seconds(function: Callable[[int], None], count: int) -> float:
    """CPU seconds, without garbage collection as in timeit: its time depends on other objects."""
    gc.collect()
    gc.disable()
    try:
        started = time.process_time()
        function(count)
        return time.process_time() - started
    finally:
        gc.enable()
