"""Identifiers in the format of MIMIC (subjects, studies, images) and the split of each patient.

All are derived from the seed. Subjects are 19xxxxxx; studies are 5xxxxxxx, unordered in time as in
the real data; images are five groups of eight hexadecimal digits. One assignment of patients to
splits serves all data sets, which use different words for the splits.
"""

from __future__ import annotations

from lapse.core.seeding import derive_permutation, derive_seed
from lapse.core.types import SPLITS
from lapse.phantom.patients.findings import MAX_VISITS

MAX_PATIENTS = 500_000
SPLIT_FRACTIONS = (0.70, 0.15)  # training, validation; the rest is test
# The strides are coprime to the ranges, so no two patients or visits share a number.
_SUBJECT_STRIDE, _NUM_SUBJECTS = 618_033, 1_000_000
_STUDY_STRIDE, _NUM_STUDIES = 6_180_339, 10_000_000


def subject_number(seed: int, patient: int) -> int:
    """The eight-digit subject_id of a patient."""
    offset = derive_seed(seed, "phantom/subject")
    return 19_000_000 + (offset + patient * _SUBJECT_STRIDE) % _NUM_SUBJECTS


def study_number(seed: int, patient: int, visit: int) -> int:
    """The eight-digit study_id of a visit; its order does not follow time."""
    offset = derive_seed(seed, "phantom/study")
    return 50_000_000 + (offset + (patient * MAX_VISITS + visit) * _STUDY_STRIDE) % _NUM_STUDIES


def dicom_name(seed: int, patient: int, visit: int) -> str:
    """The dicom_id of the frontal image of a visit."""
    groups = (
        derive_seed(seed, "phantom/dicom", patient, visit, group) & 0xFFFFFFFF for group in range(5)
    )
    return "-".join(f"{group:08x}" for group in groups)


def study_folder(subject: int, study: int) -> str:
    """`files/p19/p19000001/s50000001`, relative to the root of the data set."""
    return f"files/p{str(subject)[:2]}/p{subject}/s{study}"


def assign_splits(seed: int, patients: int) -> tuple[str, ...]:
    """The split of each patient, about 70 / 15 / 15; none is empty from three patients up.

    Raises:
        ValueError: there are fewer than one or more than 500,000 patients.
    """
    if not 1 <= patients <= MAX_PATIENTS:
        raise ValueError(f"simulate between 1 and {MAX_PATIENTS} patients, got {patients}")
    order = derive_permutation(patients, seed, "phantom/partition")
    num_validate = max(1, round(SPLIT_FRACTIONS[1] * patients)) if patients > 2 else 0
    num_train = patients - 2 * num_validate
    splits = [""] * patients
    for rank, patient in enumerate(order):
        splits[patient] = SPLITS[(rank >= num_train) + (rank >= num_train + num_validate)]
    return tuple(splits)
