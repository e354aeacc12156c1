"""Three splits are combined without a leak; the guard detects every kind of leak."""

import random
from dataclasses import replace
from datetime import datetime

import pytest

from lapse.core.types import Pair, Study
from lapse.data.datasets.splits import (
    LeakGuard,
    assign_patients,
    leaked_patients,
    protocol_hash,
)

SPLITS = ("train", "validate", "test")


def study(patient, visit, split):
    number = f"{50000000 + 10 * patient + visit}"
    return Study(
        id=f"i{number}", study=number, patient=str(10000000 + patient), image=f"i{number}",
        view="PA", split=split, taken_at=datetime(2150, 1, visit), report="", regions=(),
    )  # fmt: skip


def pair(reference, main, split):
    return Pair(f"{main.id}/{reference.id}", reference, main, "q", "a", "difference", split)


def cohort(num_patients=12):
    studies = [study(p, v, SPLITS[p % 3]) for p in range(num_patients) for v in (1, 2)]
    pairs = [pair(a, b, a.split) for a, b in zip(studies[::2], studies[1::2], strict=True)]
    return studies, pairs


def check_no_leak(studies, pairs):
    """Refuse leaks in the studies and in both studies of each pair."""
    guard = LeakGuard()
    for study in studies:
        guard.add(study.patient, study.study, study.image, study.split)
    for pair in pairs:
        for study in (pair.main, pair.reference):
            guard.add(study.patient, study.study, study.image, pair.split)
    guard.check()


def test_precedence_is_test_validate_train():
    records = [("a", "train"), ("b", "validate"), ("a", "validate"), ("b", "train"), ("c", "train"),
             ("a", "test"), ("b", "train")]  # fmt: skip
    assert assign_patients(records) == {"a": "test", "b": "validate", "c": "train"}
    assert leaked_patients(records) == {"a", "b"}
    random.Random(0).shuffle(records)
    assert assign_patients(records) == {"a": "test", "b": "validate", "c": "train"}


def test_the_hash_depends_on_the_assignment_only():
    first = protocol_hash({"a": "test", "b": "train"})
    assert first == protocol_hash({"b": "train", "a": "test"}) and len(first) == 16
    assert first != protocol_hash({"a": "train", "b": "test"})
    assert first != protocol_hash({"a": "test", "b": "train", "c": "train"})


@pytest.mark.parametrize("seed", range(20))
def test_a_clean_cohort_passes(seed):
    studies, pairs = cohort(6 + seed)
    random.Random(seed).shuffle(studies)
    check_no_leak(studies, pairs)


def leak_patient(studies, pairs, rng):
    index = rng.choice([i for i, item in enumerate(studies) if item.split == "train"])
    studies[index] = replace(studies[index], split=rng.choice(SPLITS[1:]))


def leak_padded_patient(studies, pairs, rng):
    victim = rng.choice([item for item in studies if item.split == "train"])
    studies.append(
        replace(victim, id="x", image="x", study="777", patient=f"0{victim.patient}", split="test")
    )


def leak_study(studies, pairs, rng):
    victim = rng.choice([item for item in studies if item.split == "test"])
    studies.append(replace(victim, id="x", image="x", patient="999", split="train"))


def leak_prefixed_study(studies, pairs, rng):
    victim = rng.choice([item for item in studies if item.split == "train"])
    other = replace(victim, id="x", image="x", patient="9", study=f"s{victim.study}", split="test")
    studies.append(other)


def leak_image(studies, pairs, rng):
    victim = rng.choice([item for item in studies if item.split == "validate"])
    studies.append(replace(victim, id="x", patient="999", study="777", split="train"))


def leak_between_stages(studies, pairs, rng):
    """A patient of the training part has a question in the test part."""
    index = rng.choice([i for i, item in enumerate(pairs) if item.split == "train"])
    pairs[index] = replace(pairs[index], split="test")


def leak_between_pairs(studies, pairs, rng):
    victim = rng.choice([item for item in pairs if item.split == "test"])
    pairs.append(replace(victim, id="x", split="train"))


LEAKS = [
    leak_patient, leak_padded_patient, leak_study, leak_prefixed_study, leak_image,
    leak_between_stages, leak_between_pairs,
]  # fmt: skip


@pytest.mark.parametrize("leak", LEAKS)
def test_every_kind_of_leak_is_refused(leak):
    for seed in range(25):
        studies, pairs = cohort()
        leak(studies, pairs, random.Random(seed))
        with pytest.raises(ValueError, match=r"leak between training and evaluation, by .*: 1 \("):
            check_no_leak(studies, pairs)


def test_the_message_counts_and_names():
    studies, pairs = cohort()
    studies[0] = replace(studies[0], split="test")
    with pytest.raises(ValueError, match=r"patient: 1 \(for example 10000000\)"):
        check_no_leak(studies, [])
    with pytest.raises(ValueError, match=r"image: 1 \(for example i50000001\)"):
        check_no_leak(studies, pairs)
