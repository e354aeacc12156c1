"""Row: pixels from the store, by shuffled keys as in training."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import numpy as np

from benchmarks.material import scratch
from benchmarks.row import ROUNDS, Check, Row
from lapse.core.seeding import derive_permutation
from lapse.core.types import Study
from lapse.data.store.store import Store, open_store
from lapse.data.store.writer import Origin, write_store

IMAGES, SIZE = 600, 448


def build() -> Store:
    """A store of noise at the paper's size."""
    random = np.random.default_rng(0)
    studies = [
        Study(
            id=f"i{number}",
            study=str(number),
            patient=str(number),
            image=f"i{number}",
            view="PA",
            split="train",
            taken_at=datetime(2150, 1, 1),
            report="",
            regions=(),
        )
        for number in range(IMAGES)
    ]
    made = ((study, random.integers(0, 256, (SIZE, SIZE), np.uint8)) for study in studies)
    folder = scratch() / "pixels"
    write_store(
        folder,
        made,
        [],
        size=SIZE,
        origin=Origin("patient-safe", "0" * 16, "invented", "none", "noise"),
    )
    return open_store(folder)


def run(say: Callable[[str], None]) -> Row:
    """Images a second of computing: each is copied out of the memory map."""
    store = build()
    say("store_read: reading")
    rates, copies = [], []
    for turn in range(ROUNDS):
        keys = [f"i{number}" for number in derive_permutation(IMAGES, "bench", turn)]
        started = time.process_time()
        total = sum(int(np.array(store.pixels(key))[0, 0]) for key in keys)
        rates.append(IMAGES / (time.process_time() - started))
        plain = np.ones((SIZE, SIZE), np.uint8)
        started = time.process_time()
        for _ in keys:
            plain.copy()
        copies.append(IMAGES / (time.process_time() - started))
        assert total >= 0
    median = sorted(rates)[ROUNDS // 2]
    return Row(
        "store_read",
        "memory map, shuffled keys, one core",
        "none",
        (
            Check(
                "images a second of one core",
                median,
                5000,
                detail=f"minimum {min(rates):,.0f} of {ROUNDS} rounds, file in the page cache",
            ),
        ),
        f"{SIZE * SIZE / 1e6:.2f} MB an image; copying as much inside memory does "
        f"{sorted(copies)[ROUNDS // 2]:,.0f} a second",
    )
