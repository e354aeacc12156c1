"""Numbers that look like MIMIC's: subjects, studies, images; and which part a patient is in.

All follow from the seed by counting. Subjects are 19xxxxxx, studies 5xxxxxxx (unordered in time,
as in the real data), images five groups of eight hexadecimal digits. One partition of the
patients serves all three data sets; only their words for it differ.
"""

from __future__ import annotations

from lapse.core.seeding import derive_permutation, derive_seed
from lapse.phantom.patients.findings import MAX_VISITS

MAX_PATIENTS = 500_000
SHARES = (0.70, 0.15)  # training, validation; the rest is test
PARTS = ("train", "validate", "test")
_SUBJECT_STRIDE, _SUBJECTS = 618_033, 1_000_000  # coprime: every patient gets its own number
_STUDY_STRIDE, _STUDIES = 6_180_339, 10_000_000


def subject_number(seed: int, patient: int) -> int:
    """The eight-digit subject_id of a patient."""
    offset = derive_seed(seed, "phantom/subject")
    return 19_000_000 + (offset + patient * _SUBJECT_STRIDE) % _SUBJECTS


def study_number(seed: int, patient: int, visit: int) -> int:
    """The eight-digit study_id of a visit; its order says nothing about time."""
    offset = derive_seed(seed, "phantom/study")
    return 50_000_000 + (offset + (patient * MAX_VISITS + visit) * _STUDY_STRIDE) % _STUDIES


def dicom_name(seed: int, patient: int, visit: int) -> str:
    """The dicom_id of a visit's frontal image."""
    groups = (
        derive_seed(seed, "phantom/dicom", patient, visit, group) & 0xFFFFFFFF for group in range(5)
    )
    return "-".join(f"{group:08x}" for group in groups)


def study_folder(subject: int, study: int) -> str:
    """`files/p19/p19000001/s50000001`, below the root of the data set."""
    return f"files/p{str(subject)[:2]}/p{subject}/s{study}"


def partition(seed: int, patients: int) -> tuple[str, ...]:
    """The part of each patient, about 70 / 15 / 15, none empty from three patients on.

    Raises:
        ValueError: there are fewer than one or more than 500,000 patients.
    """
    if not 1 <= patients <= MAX_PATIENTS:
        raise ValueError(f"simulate between 1 and {MAX_PATIENTS} patients, got {patients}")
    order = derive_permutation(patients, seed, "phantom/partition")
    validate = max(1, round(SHARES[1] * patients)) if patients > 2 else 0
    train = patients - 2 * validate
    parts = [""] * patients
    for rank, patient in enumerate(order):
        parts[patient] = PARTS[(rank >= train) + (rank >= train + validate)]
    return tuple(parts)
