"""Row: four times the data take four times as long and no more memory; training does not grow."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks.material import phantom_store, scratch
from benchmarks.memory import peak_bytes, resident
from benchmarks.row import Check, Job, Row
from benchmarks.scoring import answers
from lapse.config import load_config
from lapse.core.tokenizer import Tokenizer
from lapse.core.types import Box, Pair, Region, Study
from lapse.data.loading.records import load_tasks
from lapse.data.loading.tokenized_dataset import DatasetOptions, TokenizedDataset
from lapse.data.store.store import open_store
from lapse.data.store.writer import Origin, write_store
from lapse.evaluation.evaluate import evaluate
from lapse.training.trainer import train

SIDE, REPEATS = 16, 3
SMALL, LARGE = 1_000, 100_000
TIMES = (1, 2, 4)
LATE, EARLY = 500, 50  # steps between which training may not grow
MEGABYTE = 1e6
TINY = (
    "model.encoder={image_size: 64, patch_size: 16, channels: 1, width: 24, layers: 1, heads: 2,"
    " mlp_width: 48}",
    "model.decoder={width: 24, layers: 1, heads: 2, mlp_width: 48, max_tokens: 160}",
    "model.adapter_width=24",
    f"train.steps={LATE}",
    f"train.eval_every={LATE}",
    f"train.save_every={LATE}",
    "train.eval_samples=32",
    "train.batch_size=4",
)


def studies(count: int) -> Iterator[Study]:
    """Invented records of realistic length."""
    for number in range(count):
        yield Study(
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
    """A store of that many invented images and half as many pairs."""
    folder = scratch() / f"growth-{count}"
    if not folder.exists():
        made = list(studies(count))
        pairs = [
            Pair(
                id=f"{first.id}-{second.id}",
                reference=first,
                main=second,
                question="what has changed compared to the reference image?",
                answer="nothing has changed.",
                category="difference",
                split="train",
            )
            for first, second in zip(made[::2], made[1::2], strict=True)
        ]
        square = np.zeros((SIDE, SIDE), np.uint8)
        write_store(
            folder,
            ((study, square) for study in made),
            pairs,
            size=SIDE,
            origin=Origin("patient-safe", "0" * 16, "invented", "none", "zeros"),
        )
    return folder


def read_images(count: int) -> None:
    """Every record and its pixels, in order."""
    store = open_store(store_of(count))
    for study in store.studies:
        np.array(store.pixels(study.image))


def read_pairs(count: int) -> None:
    """The questions and answers of every pair, tokenized."""
    store = open_store(store_of(count))
    tasks = load_tasks(("diff_vqa",), SIDE)
    TokenizedDataset(store.pairs_of("train"), tasks, Tokenizer(), DatasetOptions(max_tokens=160))


def score(count: int) -> None:
    """Change scores with their intervals."""
    evaluate(answers(count), metrics={"diff_vqa": ("changes",)})


def job(folder: str, what: str) -> Job:
    """For a process of its own: read a store, or train and look at memory on the way."""
    if what == "read":
        return lambda: [None for study in open_store(Path(folder)).studies if study.report == "-"]
    raise ValueError(f"no job {what!r}: read")


def training_growth(folder: Path) -> float:
    """Bytes between step 50 and step 500 of a small run in this process."""
    held: dict[int, int] = {}

    def look(step: int) -> None:
        if step in (EARLY, LATE):
            held[step] = resident()

    config = load_config("pretrain-tiny", TINY)
    train(config, phantom_store(), folder, on_step=look)
    return held[LATE] - held[EARLY]


def run(say: Callable[[str], None]) -> Row:
    """Times at once, twice and four times the data; memory of reading and of training."""
    checks = []
    kinds: tuple[tuple[str, Callable[[int], None], int], ...] = (
        ("images", read_images, 8_000),
        ("pairs", read_pairs, 4_000),
        ("answers", score, 1_000),
    )
    for name, reading, count in kinds:
        say(f"growth: {name}")
        seconds = []
        for times in TIMES:
            reading(times * count)  # what is made once is made here
            seconds.append(min(_seconds(reading, times * count) for _ in range(REPEATS)))
        ratio = seconds[-1] / seconds[0]
        detail = f"{TIMES}: " + ", ".join(f"{value:.2f} s" for value in seconds)
        checks.append(Check(f"time for 4x the {name}", ratio, 4.4, False, detail))
    say("growth: memory of records")
    peaks = [
        peak_bytes(__name__, folder=str(store_of(count)), what="read") for count in (SMALL, LARGE)
    ]
    extra = (peaks[1] - peaks[0]) / MEGABYTE
    detail = f"{peaks[0] / MEGABYTE:.0f} MB and {peaks[1] / MEGABYTE:.0f} MB"
    checks.append(Check(f"MB of {LARGE:,} records over {SMALL:,}", extra, 50.0, False, detail))
    say("growth: memory of training")
    grown = training_growth(scratch() / "growth-run") / MEGABYTE
    checks.append(Check(f"MB from step {EARLY} to step {LATE}", grown, 5.0, False))
    return Row(
        "growth",
        "1x, 2x and 4x the data",
        "itself at 1x",
        tuple(checks),
        "4.00 for what is proportional; less where a part is done once",
        ("reading a store from end to end; what `prepare` keeps in memory is in docs/log.md",),
    )


def _seconds(job: Callable[[int], None], count: int) -> float:
    """Seconds of computing. Python's collector of cycles waits, as under timeit: it walks through
    all that this process holds, other rows' libraries too, and at moments of its own."""
    gc.collect()
    gc.disable()
    try:
        started = time.process_time()
        job(count)
        return time.process_time() - started
    finally:
        gc.enable()
