"""The last look before a store gets its name: is anything both trained and evaluated on?

    pairs.parquet    which rows are trained or asked about in a pair
    studies.parquet  names of these rows, and their own split

The written tables are read in batches, column by column, so that nothing is taken on trust and
nothing large is held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lapse.data.splits import LeakGuard
from lapse.data.store import PAIRS, STUDIES, Store

NAMES = ("patient", "study", "image", "split")


def refuse_leak(store: Store) -> None:
    """Refuse a store of which a patient, study or image is both trained and evaluated on.

    Raises:
        ValueError: with the number of leaks of each kind and a few of their ids.
    """
    num_studies = pq.read_metadata(store.path / STUDIES).num_rows
    asked = {word: np.zeros(num_studies, bool) for word in ("train", "test")}  # [n] each
    for batch in _batches(store.path / PAIRS, ("reference", "main", "split")):
        is_trained = np.array([word == "train" for word in batch["split"]], bool)
        for side in ("reference", "main"):
            rows = np.array(batch[side], np.int64)
            asked["train"][rows[is_trained]] = True
            asked["test"][rows[~is_trained]] = True
    guard = LeakGuard()
    start = 0
    for batch in _batches(store.path / STUDIES, NAMES):
        names = zip(*(batch[name] for name in NAMES), strict=True)
        for row, (patient, study, image, split) in enumerate(names, start=start):
            guard.add(patient, study, image, split)
            for word, rows in asked.items():
                if rows[row]:
                    guard.add(patient, study, image, word)
        start += len(batch["split"])
    guard.check()


def _batches(path: Path, columns: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    """One row group at a time; a reader of batches would hold all of them."""
    with pq.ParquetFile(path, pre_buffer=False) as opened:
        for group in range(opened.num_row_groups):
            values: dict[str, list[Any]] = opened.read_row_group(group, list(columns)).to_pydict()
            yield values
