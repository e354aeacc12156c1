"""Row: pixels from the store, by shuffled keys as in training."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from datetime import datetime

import numpy as np
import numpy.typing as npt

from benchmarks.inputs import scratch
from benchmarks.row import ROUNDS, Check, Row, logger
from lapse.core.seeding import derive_permutation
from lapse.core.types import Study
from lapse.data.store.info import Origin
from lapse.data.store.store import Store, open_store
from lapse.data.store.writer import write_store

IMAGES, SIZE = 600, 448


def build() -> Store:
    """A store of noise at the image size of the paper."""
    random = np.random.default_rng(0)

    def records() -> Iterator[tuple[Study, npt.NDArray[np.uint8]]]:
        for number in range(IMAGES):
            study = Study(
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
            yield study, random.integers(0, 256, (SIZE, SIZE), np.uint8)

    folder = scratch() / "pixels"
    origin = Origin("patient-safe", "0" * 16, "random", "none", "noise")
    write_store(folder, records(), [], size=SIZE, origin=origin)
    return open_store(folder)


def run() -> Row:
    """Images per CPU second; each is read from the page cache."""
    store = build()
    logger.info("store_read: measuring")
    rates, copy_rates = [], []
    image = np.ones((SIZE, SIZE), np.uint8)
    for turn in range(ROUNDS):
        keys = [f"i{number}" for number in derive_permutation(IMAGES, "bench", turn)]
        started = time.process_time()
        for key in keys:
            np.array(store.pixels(key))
        rates.append(IMAGES / (time.process_time() - started))
        started = time.process_time()
        for _ in keys:
            image.copy()
        copy_rates.append(IMAGES / (time.process_time() - started))
    detail = f"minimum {min(rates):,.0f} of {ROUNDS} rounds, file in the page cache"
    return Row(
        "store_read",
        "one read per image, shuffled keys, one core",
        "none",
        (Check("images per second of one core", statistics.median(rates), 5000, detail=detail),),
        f"{SIZE * SIZE / 1e6:.2f} MB per image; a copy inside memory reaches "
        f"{statistics.median(copy_rates):,.0f} images per second",
    )
