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

from lapse.core.types import SPLITS, Pair, Study
from lapse.data.io.compact_maps import CompactIntMap, OrderedEnumMap
from lapse.data.io.csv_tables import plain_id

PROTOCOLS = ("patient-safe", "published")
_STRENGTH = {split: strength for strength, split in enumerate(SPLITS)}


def assign_patients(words: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """One split for each patient: test before validate before train.

    Args:
        words: (patient, split) of every record of every data set.

    >>> dict(assign_patients([("1", "train"), ("1", "test"), ("2", "train")]))
    {'1': 'test', '2': 'train'}
    """
    assigned = OrderedEnumMap()
    for patient, split in words:
        before = assigned.get(patient)
        if before is None or _STRENGTH[split] > _STRENGTH[before]:
            assigned[patient] = split
    return assigned


def leaked_patients(words: Iterable[tuple[str, str]]) -> set[str]:
    """Patients that stand in a training part of one data set and an evaluation part of any."""
    sides = _Sides()
    for patient, split in words:
        sides.add(patient, split)
    return sides.shared


def protocol_hash(assignment: Mapping[str, str]) -> str:
    """Sixteen hex digits that name who is in which split, whatever the order.

    Args:
        assignment: patient -> split (or record -> split under `published`).
    """
    ordered: Iterable[tuple[str, str]]
    if isinstance(assignment, OrderedEnumMap):
        ordered = assignment.in_order()
    else:
        ordered = sorted(assignment.items())
    digest = hashlib.sha256()
    for owner, split in ordered:
        digest.update(f"{owner}\t{split}\n".encode())
    return digest.hexdigest()[:16]


def check_no_leak(studies: Iterable[Study], pairs: Iterable[Pair]) -> None:
    """Refuse records of which a patient, a study or an image is both trained and evaluated on.

    Numbers are compared without padding and prefix letters. A pair brings the patients, studies
    and images of both its sides.

    Raises:
        ValueError: with the number of leaks of each kind and a few of their ids.
    """
    guard = LeakGuard()
    for study in studies:
        guard.add(study.patient, study.study, study.image, study.split)
    for pair in pairs:
        for side in (pair.main, pair.reference):
            guard.add(side.patient, side.study, side.image, pair.split)
    guard.check()


class LeakGuard:
    """Remembers on which side of the fence each patient, study and image was seen."""

    def __init__(self) -> None:
        self._seen = {kind: _Sides() for kind in ("patient", "study", "image")}

    def add(self, patient: str, study: str, image: str, split: str) -> None:
        """One record, or one side of a pair."""
        self._seen["patient"].add(plain_id(patient), split)
        self._seen["study"].add(plain_id(study), split)
        self._seen["image"].add(image, split)

    def check(self) -> None:
        """Refuse what was seen on both sides.

        Raises:
            ValueError: with the number of leaks of each kind and a few of their ids.
        """
        problems = []
        for kind, sides in self._seen.items():
            shared = sorted(sides.shared)
            if shared:
                problems.append(f"{kind}: {len(shared)} (for example {', '.join(shared[:3])})")
        if problems:
            raise ValueError(
                "leak between training and evaluation, by " + "; ".join(problems) + ": give each "
                "patient one split, as the protocol patient-safe does"
            )


class _Sides:
    """Names seen in training (1), in evaluation (2), or in both; the last are `shared`."""

    def __init__(self) -> None:
        self.shared: set[str] = set()
        self._seen = CompactIntMap("b")

    def add(self, name: str, split: str) -> None:
        side = 1 if split == "train" else 2
        before = self._seen.add(name, side)
        if before not in (None, side):
            self._seen[name] = 3
            self.shared.add(name)
