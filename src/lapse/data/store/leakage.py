"""Check written stores for leaks: whatever is both trained and evaluated on.

    pairs.parquet    which studies are in a training or evaluation pair
    studies.parquet  patient, study and image of each study, and its split

The written tables are read in batches, column by column, so that the check is independent of the
writer and needs little memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lapse.data.datasets.splits import LeakGuard, comparable_id
from lapse.data.store.info import PAIRS, STUDIES
from lapse.data.store.store import Store

NAMES = ("patient", "study", "image", "split")


def check_store_for_leaks(store: Store) -> None:
    """Refuse a store with a patient, study or image that is both trained and evaluated on.

    Raises:
        ValueError: with the number of leaks of each kind and a few of their ids.
    """
    is_trained, is_evaluated = _studies_in_pairs(store)
    guard = LeakGuard()
    for row, (patient, study, image, split) in enumerate(_studies(store)):
        guard.add(patient, study, image, split)
        if is_trained[row]:
            guard.add(patient, study, image, "train")
        if is_evaluated[row]:
            guard.add(patient, study, image, "test")
    guard.check()


def check_no_shared_patients(training: Store, evaluated: Store, patients: Collection[str]) -> None:
    """Refuse a training store that holds a patient who is evaluated on from another store.

    Args:
        training: only its training part is checked, of studies and of pairs.
        evaluated: the store of the patients that are evaluated on.
        patients: the patients that are evaluated on.

    Raises:
        ValueError: a patient, study or image is in both, with the counts and a few ids.
    """
    guard = LeakGuard()
    evaluated_patients = {comparable_id(patient) for patient in patients}
    for patient in evaluated_patients:
        guard.add(patient, "", "", "test")
    for patient, study, image, _ in _studies(evaluated):
        if comparable_id(patient) in evaluated_patients:
            guard.add(patient, study, image, "test")
    is_trained, _ = _studies_in_pairs(training)
    for row, (patient, study, image, split) in enumerate(_studies(training)):
        if split == "train" or is_trained[row]:
            guard.add(patient, study, image, "train")
    try:
        guard.check()
    except ValueError as error:
        raise ValueError(
            f"{training.path} trains on what {evaluated.path} evaluates on, or uses its numbers "
            f"again ({error}); for simulated patients, simulate one of them with another --seed"
        ) from None


def _studies(store: Store) -> Iterator[tuple[str, str, str, str]]:
    """Patient, study, image and split of each study, in order."""
    for batch in _row_groups(store.path / STUDIES, NAMES):
        yield from zip(*(batch[name] for name in NAMES), strict=True)


def _studies_in_pairs(store: Store) -> tuple[np.ndarray, np.ndarray]:
    """Which studies are in a training pair, and in an evaluation pair. # [N] bool each"""
    num_studies = pq.read_metadata(store.path / STUDIES).num_rows
    is_trained, is_evaluated = np.zeros(num_studies, bool), np.zeros(num_studies, bool)
    for batch in _row_groups(store.path / PAIRS, ("reference", "main", "split")):
        is_training_pair = np.array([split == "train" for split in batch["split"]], bool)
        for role in ("reference", "main"):
            rows = np.array(batch[role], np.int64)
            is_trained[rows[is_training_pair]] = True
            is_evaluated[rows[~is_training_pair]] = True
    return is_trained, is_evaluated


def _row_groups(path: Path, columns: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    """One row group at a time; `iter_batches` would keep all of them in memory."""
    with pq.ParquetFile(path, pre_buffer=False) as opened:
        for group in range(opened.num_row_groups):
            values: dict[str, list[Any]] = opened.read_row_group(group, list(columns)).to_pydict()
            yield values
