"""Image-blind baselines read the train split of the store and answer the same samples."""

import random
from collections import Counter
from dataclasses import replace

import pytest

import tiny_store
from lapse.core.changes import UNCHANGED, Change, render
from lapse.core.findings import FINDINGS
from lapse.core.registry import load
from lapse.core.tokenizer import bins_box, find_box
from lapse.core.types import Prediction
from lapse.data.store.info import Origin
from lapse.data.store.store import open_store
from lapse.data.store.writer import write_store
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


def predictions_for(store, *tasks: str, split: str = "test") -> list[Prediction]:
    """A prediction "?" for every sample of these tasks."""
    predictions = []
    for name in tasks:
        task = load("tasks", name)(tiny_store.SIDE)
        records = store.pairs_of(split) if task.records == "pairs" else store.studies_of(split)
        for sample in (sample for record in records for sample in task.samples(record)):
            reference = (sample.answer.strip(),)
            predictions.append(
                Prediction(sample.id, name, "?", reference, sample.patient, sample.prompt)
            )
    return predictions


def test_each_baseline_answers_the_samples_of_its_tasks(store):
    items = predictions_for(store, "diff_vqa", "cap", "gcap", "caref", "aref")
    baselines = blind_baselines(store, items)
    assert list(baselines) == [CONSTANT, NOTHING, RANDOM, MEAN_BOX]
    for name, tasks in {
        CONSTANT: {"diff_vqa", "cap"},
        NOTHING: {"diff_vqa"},
        RANDOM: {"diff_vqa", "cap", "gcap"},
        MEAN_BOX: {"caref", "aref"},
    }.items():
        expected = [(item.id, item.references) for item in items if item.task in tasks]
        assert [(item.id, item.references) for item in baselines[name]] == expected
        assert all(item.prediction not in ("", "?") for item in baselines[name])
    assert list(blind_baselines(store, predictions_for(store, "caref"))) == [MEAN_BOX]


def test_no_second_baseline_if_the_constant_is_that_nothing_has_changed(store, tmp_path):
    (item, *_) = predictions_for(store, "diff_vqa")
    unchanged, edema = ("q", UNCHANGED), ("q", render({Change("edema", "added")}))
    baselines = blind_text_baselines([unchanged, unchanged, edema], [item])
    assert list(baselines) == [CONSTANT, RANDOM] and baselines[CONSTANT][0].prediction == UNCHANGED
    baselines = blind_text_baselines([unchanged, edema, edema], [item])
    assert list(baselines) == [CONSTANT, NOTHING, RANDOM]
    assert [baselines[name][0].prediction for name in (CONSTANT, NOTHING)] == [edema[1], UNCHANGED]
    other = replace(item, task="vqa")
    assert list(blind_text_baselines([unchanged, edema, edema], [other])) == [CONSTANT, RANDOM]
    studies = tiny_store.studies()
    write_store(
        tmp_path / "unchanged",
        [(study, tiny_store.pixels(study.image)) for study in studies],
        [replace(pair, answer=UNCHANGED) for pair in tiny_store.pairs(studies)],
        size=tiny_store.SIDE,
        origin=Origin("patient-safe", "0" * 16, "invented", "none", "random pixels"),
    )
    assert list(blind_baselines(open_store(tmp_path / "unchanged"), [item])) == [CONSTANT, RANDOM]


def test_why_nothing_has_changed_is_a_separate_baseline():
    """It has the best exact match of the constants and no change score."""
    draw = random.Random(0)
    findings = FINDINGS[:8]
    answers = [
        UNCHANGED if n % 4 == 0 else render({Change(draw.choice(findings), "added")})
        for n in range(80)
    ]
    items = [Prediction(f"d{n}", "diff_vqa", "?", (a,), f"p{n}") for n, a in enumerate(answers)]
    baselines = blind_text_baselines([("q", answer) for answer in answers], items)
    options = EvaluateOptions(resamples=100, use_java=False)
    scores = {name: evaluate(baselines[name], options)["diff_vqa"] for name in baselines}
    assert scores[NOTHING]["exact match"].value > scores[CONSTANT]["exact match"].value
    assert scores[NOTHING]["change F1"].value == 0.0


def test_texts_come_from_the_train_split(store):
    train = {pair.answer for pair in store.pairs_of("train") if pair.category == "difference"}
    baselines = blind_baselines(store, predictions_for(store, "diff_vqa"))
    assert {item.prediction for item in baselines[RANDOM]} <= train
    assert len(Counter(item.prediction for item in baselines[CONSTANT])) == 1
    assert baselines[CONSTANT][0].prediction in train


def test_a_random_phrase_has_no_box(store):
    baselines = blind_baselines(store, predictions_for(store, "gcap"))
    assert all(find_box(item.prediction) is None for item in baselines[RANDOM])


def test_random_answers_depend_on_the_seed_and_the_sample_alone(store):
    items = predictions_for(store, "diff_vqa", "cap")
    answers = {item.id: item.prediction for item in blind_baselines(store, items)[RANDOM]}
    for item in blind_baselines(store, items[::-2])[RANDOM]:
        assert item.prediction == answers[item.id]
    other = {item.id: item.prediction for item in blind_baselines(store, items, seed=1)[RANDOM]}
    assert other != answers


def test_the_mean_box_is_that_of_the_named_region_on_training_studies(store):
    boxes: dict[str, list] = {}
    for study in store.studies_of("train"):
        for region in study.regions:
            boxes.setdefault(region.name, []).append(region.box)
            boxes.setdefault("", []).append(region.box)
    for item in blind_baselines(store, predictions_for(store, "caref", "aref"))[MEAN_BOX]:
        group = boxes[item.id.split("/")[2] if item.task == "caref" else ""]
        box = bins_box(find_box(item.prediction), tiny_store.SIDE)
        for name in ("x_min", "y_min", "x_max", "y_max"):
            mean = sum(getattr(item, name) for item in group) / len(group)
            assert getattr(box, name) == pytest.approx(mean, abs=1 / tiny_store.SIDE)


def test_a_region_that_no_training_study_has_gets_no_box(store):
    item = Prediction("caref/x/spleen", "caref", "?", ("[1, 2, 3, 4]",), "p", "caref: spleen:")
    (answer,) = blind_baselines(store, [item])[MEAN_BOX]
    assert answer.prediction == ""
