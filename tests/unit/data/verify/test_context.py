"""Shared state of the checks: patients by split, progress."""

from lapse.data.verify.context import PatientSplits, ProgressCounter


def test_patients_by_split():
    splits = PatientSplits()
    for patient, split in [(7, "train"), (3, "test"), (7, "train"), (7, "validate"), (9, "train")]:
        splits.add(patient, split)
    assert splits.patients("train") == {7, 9}
    assert splits.patients("validate", "test") == {3, 7}
    assert splits.in_several() == [7]


def test_done_never_exceeds_the_total():
    calls = []
    progress = ProgressCounter(lambda done, total: calls.append((done, total)), every=1)
    progress.expect(2)
    for _ in range(4):
        progress.step()
    assert calls == [(0, 2), (1, 2), (2, 2), (3, 3), (4, 4)]
