"""A store of random pixels and invented records, for training in less than a second."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from lapse.core.types import Box, Pair, Region, Study
from lapse.data.store.info import Origin
from lapse.data.store.writer import write_store

SIDE = 32
FINDINGS = ("edema", "pneumonia", "atelectasis", "a small effusion", "no change at all")
CHANGED = ("edema", "pneumonia", "atelectasis", "hernia", "fracture")
SHOWN = (("pneumonia",), ("atelectasis", "pleural effusion"), ())  # names of the scene graph
NAMES = ("carina", "right lung", "left lung", "trachea")


def studies(num_patients: int = 12, visits: int = 2) -> list[Study]:
    """`visits` studies of each patient; of every six patients four train."""
    made = []
    splits = ("train", "train", "train", "train", "validate", "test")
    for patient in range(num_patients):
        for visit in range(visits):
            number = patient * visits + visit
            words = [FINDINGS[(number + shift) % len(FINDINGS)] for shift in range(3)]
            regions = tuple(
                Region(
                    name,
                    (f"There is {FINDINGS[(number + index) % len(FINDINGS)]}.",),
                    Box(0.1 * index, 0.05 * (number % 5), 0.1 * index + 0.4, 0.6),
                    SHOWN[(number + index) % len(SHOWN)],
                )
                for index, name in enumerate(NAMES)
            )
            made.append(
                Study(
                    id=f"image-{number:03d}",
                    study=str(50_000_000 + number),
                    patient=str(10_000_000 + patient),
                    image=f"image-{number:03d}",
                    view="PA",
                    split=splits[patient % len(splits)],
                    taken_at=datetime(2150, 1, 1) + timedelta(days=number),
                    report=f"There is {words[0]}. We see {words[1]} and {words[2]}.",
                    regions=regions,
                    impression=f"We see {words[1]} and {words[2]}.",
                )
            )
    return made


def pairs(made: list[Study]) -> list[Pair]:
    """Both orders of every two studies of a patient."""
    result = []
    for first in made:
        for second in made:
            if first.patient == second.patient and first.id != second.id:
                result.append(
                    Pair(
                        id=f"{second.study}-{first.study}",
                        reference=first,
                        main=second,
                        question="what has changed compared to the reference image?",
                        answer=f"the level of {CHANGED[int(second.study) % 5]} has increased.",
                        category="difference",
                        split=first.split,
                    )
                )
    return result


def pixels(key: str) -> np.ndarray:
    """[SIDE, SIDE] uint8, different for every key."""
    seed = sum(ord(letter) * (index + 1) for index, letter in enumerate(key))
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), np.uint8)


def write(folder: Path, num_patients: int = 12) -> Path:
    """Write the store; returns its folder."""
    made = studies(num_patients)
    write_store(
        folder,
        [(study, pixels(study.image)) for study in made],
        pairs(made),
        size=SIDE,
        origin=Origin("patient-safe", "0" * 16, "invented", "none", "random pixels"),
    )
    return folder
