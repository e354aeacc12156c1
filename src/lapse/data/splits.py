"""Three splits that disagree, and the two protocols that make one of them.

MIMIC-CXR, Chest ImaGenome and Medical-Diff-VQA cut their patients in three different ways:
pretraining on the first two "train" parts sees almost every test patient of the third, with
the very report that its answers were generated from.

    published     each record keeps its data set's word; the leaked patients are counted
    patient-safe  each patient gets one split, test before validate before train over all the
                  words of all data sets; no patient of an evaluation part is ever trained on
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from lapse.data.tables import plain_id
from lapse.types import SPLITS, Pair, Study

PROTOCOLS = ("patient-safe", "published")
_STRENGTH = {split: strength for strength, split in enumerate(SPLITS)}


def assign_patients(words: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One split for each patient: test before validate before train.

    Args:
        words: (patient, split) of every record of every data set.

    >>> assign_patients([("1", "train"), ("1", "test"), ("2", "train")])
    {'1': 'test', '2': 'train'}
    """
    assigned: dict[str, str] = {}
    for patient, split in words:
        before = assigned.get(patient)
        if before is None or _STRENGTH[split] > _STRENGTH[before]:
            assigned[patient] = split
    return assigned


def leaked_patients(words: Iterable[tuple[str, str]]) -> set[str]:
    """Patients that stand in a training part of one data set and an evaluation part of any."""
    trained: set[str] = set()
    evaluated: set[str] = set()
    for patient, split in words:
        (trained if split == "train" else evaluated).add(patient)
    return trained & evaluated


def protocol_hash(assignment: Mapping[str, str]) -> str:
    """Sixteen hex digits that name who is in which split, whatever the order.

    Args:
        assignment: patient -> split (or record -> split under `published`).
    """
    digest = hashlib.sha256()
    for owner in sorted(assignment):
        digest.update(f"{owner}\t{assignment[owner]}\n".encode())
    return digest.hexdigest()[:16]


def check_no_leak(studies: Iterable[Study], pairs: Iterable[Pair]) -> None:
    """Refuse records of which a patient, a study or an image is both trained and evaluated on.

    Numbers are compared without padding and prefix letters. A pair brings the patients, studies
    and images of both its sides.

    Raises:
        ValueError: with the number of leaks of each kind and a few of their ids.
    """
    seen: dict[str, tuple[set[str], set[str]]] = {
        kind: (set(), set()) for kind in ("patient", "study", "image")
    }
    for study in studies:
        _note(seen, study, study.split)
    for pair in pairs:
        _note(seen, pair.main, pair.split)
        _note(seen, pair.reference, pair.split)
    problems = []
    for kind, (trained, evaluated) in seen.items():
        shared = sorted(trained & evaluated)
        if shared:
            problems.append(f"{kind}: {len(shared)} (for example {', '.join(shared[:3])})")
    if problems:
        raise ValueError(
            "leak between training and evaluation, by " + "; ".join(problems) + ": give each "
            "patient one split, as the protocol patient-safe does"
        )


def _note(seen: dict[str, tuple[set[str], set[str]]], study: Study, split: str) -> None:
    side = 0 if split == "train" else 1
    seen["patient"][side].add(plain_id(study.patient))
    seen["study"][side].add(plain_id(study.study))
    seen["image"][side].add(study.image)
