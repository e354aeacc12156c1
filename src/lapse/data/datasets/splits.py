"""Three splits that disagree, and two protocols that combine them.

MIMIC-CXR, Chest ImaGenome and Medical-Diff-VQA split their patients in three different ways:
pretraining on the first two "train" parts sees almost every test patient of the third, with
the very report that its answers were generated from.

    published     each record keeps the split of its dataset; the leaked patients are counted
    patient-safe  each patient has one split, test before validate before train over all datasets;
                  no patient of an evaluation part is trained on
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from lapse.core.types import SPLITS
from lapse.data.io.csv_tables import plain_id

MIMIC_DIGITS = 8
PROTOCOLS = ("patient-safe", "published")


def assign_patients(records: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One split for each patient: test before validate before train.

    Args:
        records: (patient, split) of every record of every dataset.

    >>> assign_patients([("1", "train"), ("1", "test"), ("2", "train")])
    {'1': 'test', '2': 'train'}
    """
    assigned: dict[str, str] = {}
    for patient, split in records:
        assigned[patient] = max(assigned.get(patient, split), split, key=SPLITS.index)
    return assigned


def leaked_patients(records: Iterable[tuple[str, str]]) -> set[str]:
    """Patients of a training part of one dataset and an evaluation part of the same or another."""
    trained: set[str] = set()
    evaluated: set[str] = set()
    for patient, split in records:
        (trained if split == "train" else evaluated).add(patient)
    return trained & evaluated


def protocol_hash(assignment: Mapping[str, str]) -> str:
    """Sixteen hex digits that identify an assignment, independent of its order.

    Args:
        assignment: patient -> split (or record -> split under `published`).
    """
    digest = hashlib.sha256()
    for name in sorted(assignment):
        digest.update(f"{name}\t{assignment[name]}\n".encode())
    return digest.hexdigest()[:16]


def comparable_id(text: str) -> str:
    """A patient or study for comparisons between data sets.

    Only a number of eight digits, as MIMIC-CXR has them, loses its padding and its letter: in
    another data set, 0012 and 12 may be two patients.

    >>> comparable_id("p10000032"), comparable_id("0012"), comparable_id("nih:13")
    ('10000032', '0012', 'nih:13')
    """
    number = plain_id(text)
    return number if number.isdecimal() and len(number) == MIMIC_DIGITS else text.strip()


class LeakGuard:
    """Collects the patients, studies and images of training and of evaluation.

    Numbers of MIMIC-CXR are compared without padding and prefix letters, other ids as texts.
    """

    def __init__(self) -> None:
        kinds = ("patient", "study", "image")
        self._trained: dict[str, set[str]] = {kind: set() for kind in kinds}
        self._evaluated: dict[str, set[str]] = {kind: set() for kind in kinds}

    def add(self, patient: str, study: str, image: str, split: str) -> None:
        """Add one record, or one study of a pair."""
        names = self._trained if split == "train" else self._evaluated
        names["patient"].add(comparable_id(patient))
        names["study"].add(comparable_id(study))
        names["image"].add(image)

    def check(self) -> None:
        """Refuse names that are in both training and evaluation.

        Raises:
            ValueError: with the number of leaks of each kind and a few of their ids.
        """
        problems = []
        for kind, trained in self._trained.items():
            shared = sorted(trained & self._evaluated[kind])
            if shared:
                problems.append(f"{kind}: {len(shared)} (for example {', '.join(shared[:3])})")
        if problems:
            raise ValueError(
                "leak between training and evaluation, by " + "; ".join(problems) + ": give each "
                "patient one split, as the protocol patient-safe does"
            )
