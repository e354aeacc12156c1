"""Written stores are checked for patients, studies and images in training and in evaluation."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from lapse.core.types import Pair, Study
from lapse.data.store.info import Origin
from lapse.data.store.leakage import check_no_shared_patients, check_store_for_leaks
from lapse.data.store.store import open_store
from lapse.data.store.writer import write_store

ORIGIN = Origin("patient-safe", "0123456789abcdef", "none", "rules", "a test")
SPLITS = ("train", "validate", "test")


def study(patient, visit, split):
    number = f"{50000000 + 10 * patient + visit}"
    return Study(
        id=f"i{number}", study=number, patient=str(10000000 + patient), image=f"i{number}",
        view="PA", split=split, taken_at=datetime(2150, 1, visit), report="", regions=(),
    )  # fmt: skip


def records(first_patient=0):
    """Two studies and a pair of six patients."""
    patients = range(first_patient, first_patient + 6)
    studies = [study(p, visit, SPLITS[p % 3]) for p in patients for visit in (1, 2)]
    pairs = [
        Pair(f"{main.id}/{reference.id}", reference, main, "q", "a", "difference", main.split)
        for reference, main in zip(studies[::2], studies[1::2], strict=True)
    ]
    return studies, pairs


def written(folder, studies, pairs):
    pixels = np.zeros((1, 1), np.uint8)
    write_store(folder, ((item, pixels) for item in studies), pairs, size=1, origin=ORIGIN)
    return open_store(folder)


def test_a_store_without_a_leak_passes(tmp_path):
    check_store_for_leaks(written(tmp_path / "store", *records()))


def test_a_study_in_another_split_than_its_patient_is_refused(tmp_path):
    studies, pairs = records()
    studies[0] = replace(studies[0], split="test")  # of a patient in training
    with pytest.raises(ValueError, match=r"patient: 1 \(for example 10000000\)"):
        check_store_for_leaks(written(tmp_path / "store", studies, pairs))


@pytest.mark.parametrize(("split", "index"), [("train", 2), ("test", 0)])
def test_a_pair_in_another_split_than_its_studies_is_refused(tmp_path, split, index):
    studies, pairs = records()
    pairs[index] = replace(pairs[index], split=split)
    with pytest.raises(ValueError, match=r"patient: 1 .*study: 2 .*image: 2"):
        check_store_for_leaks(written(tmp_path / "store", studies, pairs))


def test_patients_of_two_stores(tmp_path):
    training = written(tmp_path / "training", *records())
    other = written(tmp_path / "other", *records(first_patient=6))
    patients = {item.patient for item in other.studies}
    check_no_shared_patients(training, other, patients)
    with pytest.raises(ValueError, match=r"patient: 2 .*another --seed"):
        check_no_shared_patients(training, training, {item.patient for item in training.studies})
    check_no_shared_patients(training, training, {"10000001", "10000002"})  # not in training


def renamed(studies, pairs, patient):
    studies = [replace(item, patient=patient(item), study=f"s{item.study}x", id=f"x{item.id}",
                       image=f"x{item.image}") for item in studies]  # fmt: skip
    ends = {item.image: item for item in studies}
    return studies, [
        replace(pair, reference=ends[f"x{pair.reference.image}"], main=ends[f"x{pair.main.image}"])
        for pair in pairs
    ]


def test_ids_of_other_data_sets_are_compared_as_texts(tmp_path):
    """0012 and 12 are one patient of MIMIC-CXR and two of a hospital; a prefix keeps sets apart."""
    plain = records()
    training = written(tmp_path / "own", *renamed(*plain, lambda item: f"{int(item.patient):012d}"))
    evaluated = written(tmp_path / "mimic", *plain)
    patients = {item.patient for item in evaluated.studies}
    with pytest.raises(ValueError, match="patient: 2"):  # numbers of MIMIC-CXR, padded
        check_no_shared_patients(training, evaluated, patients)
    short = [replace(item, patient=item.patient[-2:]) for item in plain[0]]
    ends = {item.image: item for item in short}
    pairs = [replace(pair, reference=ends[pair.reference.image], main=ends[pair.main.image])
             for pair in plain[1]]  # fmt: skip
    evaluated = written(tmp_path / "short", short, pairs)
    training = written(
        tmp_path / "padded", *renamed(short, pairs, lambda item: f"00{item.patient}")
    )
    check_no_shared_patients(training, evaluated, {item.patient for item in short})
    training = written(
        tmp_path / "prefixed", *renamed(short, pairs, lambda item: f"nih:{item.patient}")
    )
    check_no_shared_patients(training, evaluated, {item.patient for item in short})
