"""Identifiers and splits of patients."""

import pytest

from lapse.phantom.patients.identity import (
    SPLITS,
    assign_splits,
    dicom_name,
    study_number,
    subject_number,
)


def test_every_patient_is_in_one_of_three_splits():
    splits = assign_splits(0, 100)
    assert [splits.count(name) for name in SPLITS] == [70, 15, 15]
    assert set(assign_splits(0, 3)) == set(SPLITS)


def test_the_number_of_patients_is_limited():
    with pytest.raises(ValueError, match="got 0"):
        assign_splits(0, 0)
    with pytest.raises(ValueError, match="500000 patients, got 500001"):
        assign_splits(0, 500_001)


def test_identifiers_are_unique_and_formatted_as_in_mimic():
    subjects = {subject_number(1, patient) for patient in range(500)}
    visits = [(patient, visit) for patient in range(100) for visit in range(16)]
    studies = {study_number(1, *key) for key in visits}
    images = {dicom_name(1, *key) for key in visits}
    assert len(subjects) == 500 and len(studies) == len(images) == len(visits)
    assert all(19_000_000 <= subject < 20_000_000 for subject in subjects)
    assert all(50_000_000 <= study < 60_000_000 for study in studies)
    assert all([len(part) for part in image.split("-")] == [8] * 5 for image in images)
