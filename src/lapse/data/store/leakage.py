"""The last look before a store gets its name: is anything both trained and evaluated on?

    pairs.parquet    which rows are trained or asked about in a pair
    studies.parquet  names of these rows, and their own split

The written tables are read in batches, column by column, so that nothing is taken on trust and
nothing large is held.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lapse.data.datasets.splits import LeakGuard
from lapse.data.io.csv_tables import plain_id
from lapse.data.store.store import PAIRS, STUDIES, Store

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


def refuse_shared(training: Store, evaluated: Store, patients: Collection[str]) -> None:
    """Refuse a training part of one store that holds a patient evaluated on from another.

    Args:
        training: its training part alone is looked at, of studies and of pairs.
        evaluated: the store of the patients that are evaluated on.
        patients: who is evaluated on.

    Raises:
        ValueError: a patient, study or image stands in both, with the counts and a few ids.
    """
    guard = LeakGuard()
    asked = {plain_id(patient) for patient in patients}
    for patient in asked:
        guard.add(patient, "", "", "test")
    for names in _names(evaluated):
        if plain_id(names[0]) in asked:
            guard.add(*names[:3], "test")
    rows = _trained_rows(training)
    for row, names in enumerate(_names(training)):
        if names[3] == "train" or rows[row]:
            guard.add(*names[:3], "train")
    try:
        guard.check()
    except ValueError as error:
        raise ValueError(
            f"{training.path} trains on what {evaluated.path} evaluates on, or uses its numbers "
            f"again ({error}); for simulated patients, simulate one of them with another --seed"
        ) from None


def _names(store: Store) -> Iterator[tuple[str, str, str, str]]:
    """patient, study, image and split of each study, in order."""
    for batch in _batches(store.path / STUDIES, NAMES):
        yield from zip(*(batch[name] for name in NAMES), strict=True)


def _trained_rows(store: Store) -> np.ndarray:
    """Which studies are one side of a training pair. # [n] bool"""
    found = np.zeros(pq.read_metadata(store.path / STUDIES).num_rows, bool)
    for batch in _batches(store.path / PAIRS, ("reference", "main", "split")):
        is_trained = np.array([word == "train" for word in batch["split"]], bool)
        for side in ("reference", "main"):
            found[np.array(batch[side], np.int64)[is_trained]] = True
    return found


def _batches(path: Path, columns: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    """One row group at a time; a reader of batches would hold all of them."""
    with pq.ParquetFile(path, pre_buffer=False) as opened:
        for group in range(opened.num_row_groups):
            values: dict[str, list[Any]] = opened.read_row_group(group, list(columns)).to_pydict()
            yield values
