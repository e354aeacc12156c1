"""Blind rows know the training part of the store, answer the same samples, and nothing else."""

import random
from collections import Counter
from dataclasses import replace

import pytest

import tiny_store
from lapse.core.grammar import FINDINGS, UNCHANGED, Change, render
from lapse.core.registry import load
from lapse.core.tokenizer import bins_box, find_box
from lapse.core.types import Prediction
from lapse.data.store.store import open_store
from lapse.data.store.writer import Origin, write_store
from lapse.evaluation.blind_baselines import (
    CONSTANT,
    MEAN_BOX,
    NOTHING,
    RANDOM,
    blind_baselines,
    blind_text_baselines,
)
from lapse.evaluation.evaluate import EvaluateOptions, evaluate


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_store(tiny_store.write(tmp_path_factory.mktemp("baselines") / "store"))


def asked(store, *tasks: str, split: str = "test") -> list[Prediction]:
    """A prediction "?" for every sample of these tasks."""
    found = []
    for name in tasks:
        task = load("tasks", name)(tiny_store.SIDE)
        records = store.pairs_of(split) if task.records == "pairs" else store.studies_of(split)
        for sample in (sample for record in records for sample in task.samples(record)):
            reference = (sample.answer.strip(),)
            found.append(Prediction(sample.id, name, "?", reference, sample.patient, sample.prompt))
    return found


def test_each_row_answers_the_samples_it_can(store):
    items = asked(store, "diff_vqa", "cap", "gcap", "caref", "aref")
    rows = blind_baselines(store, items)
    assert list(rows) == [CONSTANT, NOTHING, RANDOM, MEAN_BOX]
    for row, tasks in {
        CONSTANT: {"diff_vqa", "cap"},
        NOTHING: {"diff_vqa"},
        RANDOM: {"diff_vqa", "cap", "gcap"},
        MEAN_BOX: {"caref", "aref"},
    }.items():
        wanted = [item for item in items if item.task in tasks]
        assert [(p.id, p.references) for p in rows[row]] == [(p.id, p.references) for p in wanted]
        assert all(item.prediction not in ("", "?") for item in rows[row])
    assert list(blind_baselines(store, asked(store, "caref"))) == [MEAN_BOX]


def test_one_row_where_the_best_constant_says_that_nothing_has_changed(store, tmp_path):
    (item, *_) = asked(store, "diff_vqa")
    quiet, loud = ("q", UNCHANGED), ("q", render({Change("edema", "added")}))
    rows = blind_text_baselines([quiet, quiet, loud], [item])
    assert list(rows) == [CONSTANT, RANDOM] and rows[CONSTANT][0].prediction == UNCHANGED
    rows = blind_text_baselines([quiet, loud, loud], [item])
    assert list(rows) == [CONSTANT, NOTHING, RANDOM]
    assert [rows[name][0].prediction for name in (CONSTANT, NOTHING)] == [loud[1], UNCHANGED]
    other = replace(item, task="vqa")
    assert list(blind_text_baselines([quiet, loud, loud], [other])) == [CONSTANT, RANDOM]
    made = tiny_store.studies()
    write_store(
        tmp_path / "silent",
        [(study, tiny_store.pixels(study.image)) for study in made],
        [replace(pair, answer=UNCHANGED) for pair in tiny_store.pairs(made)],
        size=tiny_store.SIDE,
        origin=Origin("patient-safe", "0" * 16, "invented", "none", "random pixels"),
    )
    assert list(blind_baselines(open_store(tmp_path / "silent"), [item])) == [CONSTANT, RANDOM]


def test_why_nothing_has_changed_is_a_separate_baseline():
    """It has the best exact match of the constants and no change score."""
    draw = random.Random(0)
    findings = FINDINGS[:8]
    answers = [
        UNCHANGED if n % 4 == 0 else render({Change(draw.choice(findings), "added")})
        for n in range(80)
    ]
    items = [Prediction(f"d{n}", "diff_vqa", "?", (a,), f"p{n}") for n, a in enumerate(answers)]
    rows = blind_text_baselines([("q", answer) for answer in answers], items)
    options = EvaluateOptions(resamples=100, use_java=False)
    found = {name: evaluate(rows[name], options=options)["diff_vqa"] for name in rows}
    assert found[NOTHING]["exact match"].value > found[CONSTANT]["exact match"].value
    assert found[NOTHING]["change F1"].value == 0.0


def test_texts_come_from_the_training_part(store):
    train = {pair.answer for pair in store.pairs_of("train") if pair.category == "difference"}
    rows = blind_baselines(store, asked(store, "diff_vqa"))
    assert {item.prediction for item in rows[RANDOM]} <= train
    assert len(Counter(item.prediction for item in rows[CONSTANT])) == 1
    assert rows[CONSTANT][0].prediction in train


def test_a_phrase_carries_no_box(store):
    rows = blind_baselines(store, asked(store, "gcap"))
    assert all(find_box(item.prediction) is None for item in rows[RANDOM])


def test_random_answers_depend_on_the_seed_and_the_sample_alone(store):
    items = asked(store, "diff_vqa", "cap")
    said = {item.id: item.prediction for item in blind_baselines(store, items)[RANDOM]}
    for item in blind_baselines(store, items[::-2])[RANDOM]:
        assert item.prediction == said[item.id]
    other = {item.id: item.prediction for item in blind_baselines(store, items, seed=1)[RANDOM]}
    assert other != said


def test_the_mean_box_is_that_of_the_named_region_on_training_studies(store):
    boxes: dict[str, list] = {}
    for study in store.studies_of("train"):
        for region in study.regions:
            boxes.setdefault(region.name, []).append(region.box)
            boxes.setdefault("", []).append(region.box)
    for item in blind_baselines(store, asked(store, "caref", "aref"))[MEAN_BOX]:
        group = boxes[item.id.split("/")[2] if item.task == "caref" else ""]
        said = bins_box(find_box(item.prediction), tiny_store.SIDE)
        for side in ("x_min", "y_min", "x_max", "y_max"):
            mean = sum(getattr(box, side) for box in group) / len(group)
            assert getattr(said, side) == pytest.approx(mean, abs=1 / tiny_store.SIDE)


def test_a_region_that_no_training_study_has_gets_no_box(store):
    strange = Prediction("caref/x/spleen", "caref", "?", ("[1, 2, 3, 4]",), "p", "caref: spleen:")
    (said,) = blind_baselines(store, [strange])[MEAN_BOX]
    assert said.prediction == ""
