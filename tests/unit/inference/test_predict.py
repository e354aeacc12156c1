"""Predictions come in the order of the store, whatever the batches are."""

import logging
from dataclasses import replace

import pytest

import tiny_model
import tiny_store
from lapse.config import check_config
from lapse.core.changes import Change, render
from lapse.data.store.info import Origin
from lapse.data.store.store import open_store
from lapse.data.store.writer import write_store
from lapse.evaluation.predictions.jsonl import read_predictions, write_predictions
from lapse.inference.predict import PredictOptions, predict
from lapse.inference.probes import PROBES
from lapse.training.run_folder import load_run
from lapse.training.trainer import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a store and a stage-1 run."""
    folder = tmp_path_factory.mktemp("predict")
    data = tiny_store.write(folder / "store")
    train(tiny_model.config(train__steps=2), data, folder / "run")
    return folder


def predictions_of(folder, **options):
    return list(predict(folder / "run", folder / "store", "test", PredictOptions(**options)))


def test_every_sample_of_the_split_once_and_in_order(trained):
    predictions = predictions_of(trained)
    assert len(predictions) == 4 * 13
    tasks = ["cap"] * 4 + ["aref"] * 16 + ["gcap"] * 16 + ["caref"] * 16
    assert [item.task for item in predictions] == tasks
    images = [item.id.split("/")[1] for item in predictions if item.task == "gcap"]
    assert images == sorted(images)
    assert {item.patient for item in predictions} == {"10000005", "10000011"}
    first = next(item for item in predictions if item.task == "caref")
    assert first.prompt == "caref: carina:"
    assert first.references == ("There is edema. [0, 0, 12, 19]",)
    assert all(item.prediction == item.prediction.strip() for item in predictions)


def test_batch_size_changes_no_prediction(trained):
    run = load_run(trained / "run", "cpu")
    options = PredictOptions(tasks=("caref", "cap"), num_beams=1)
    large = list(predict(run, trained / "store", "test", options))
    single = list(predict(run, trained / "store", "test", replace(options, batch_size=1)))
    assert large == single and len(large) == 20
    assert len({item.prediction for item in large}) > 1


def test_limit_is_divided_among_tasks_and_equal_for_every_run(trained):
    calls = []
    options = PredictOptions(tasks=("cap", "gcap"), limit=5)
    predictions = list(
        predict(
            trained / "run", trained / "store", "test", options,
            progress=lambda done, total: calls.append((done, total)),
        )
    )  # fmt: skip
    assert [item.task for item in predictions] == ["cap"] * 3 + ["gcap"] * 2
    assert calls == [(3, 5), (5, 5)]
    train(tiny_model.config(train__steps=1, train__seed=7), trained / "store", trained / "other")
    others = predict(trained / "other", trained / "store", "test", options)
    assert [item.id for item in others] == [item.id for item in predictions]


def test_another_image_size_is_refused(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_store, "SIDE", 16)
    other = tiny_store.write(tmp_path / "store")
    with pytest.raises(ValueError, match="holds 16 px images"):
        next(predict(trained / "run", other, "test"))


@pytest.mark.parametrize(
    ("split", "options", "message"),
    [
        ("nowhere", {}, "no split 'nowhere'"),
        ("test", {"num_beams": 0}, "num_beams"),
        ("test", {"tasks": ("captions",)}, "'captions'"),
    ],
)
def test_invalid_options_are_refused(trained, split, options, message):
    with pytest.raises(ValueError, match=message):
        list(predict(trained / "run", trained / "store", split, PredictOptions(**options)))


@pytest.fixture(scope="module")
def answerer(tmp_path_factory):
    """A folder with a store and a stage-2 run; the grammar can parse every reference answer."""
    folder = tmp_path_factory.mktemp("compare")
    studies = tiny_store.studies()
    findings = ("edema", "hernia", "fracture")
    pairs = [
        replace(pair, answer=render([Change(findings[int(pair.main.study) % 3], "added")]))
        for pair in tiny_store.pairs(studies)
    ]
    write_store(
        folder / "store",
        [(study, tiny_store.pixels(study.image)) for study in studies],
        pairs,
        size=tiny_store.SIDE,
        origin=Origin("patient-safe", "0" * 16, "invented", "none", "random pixels"),
    )
    values = tiny_model.config("diffvqa", train__steps=2).model_dump(mode="json")
    encoder = {"image_size": 32, "patch_size": 16, "channels": 1, "width": 16, "layers": 1}
    language = {"width": 16, "layers": 1, "heads": 2, "max_positions": 96}
    values |= {
        "model_type": "prefix_lm",
        "model": {
            "encoder": {**encoder, "heads": 2, "mlp_width": 32},
            "language_model": language,
        },
        "generation": {"num_beams": 3, "max_new_tokens": 8, "batch_size": 3},
    }
    train(check_config(values), folder / "store", folder / "run")
    return folder


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_answers_the_same_samples(answerer, probe):
    plain = predictions_of(answerer)
    probed = predictions_of(answerer, probe=probe)
    assert [item.id for item in probed] == [f"{item.id}#{probe}" for item in plain]
    assert [item.patient for item in probed] == [item.patient for item in plain]
    if probe == "identity":
        assert {item.references for item in probed} == {("nothing has changed.",)}
    if probe == "swap":
        assert all("is missing the finding of" in item.references[0] for item in probed)
    if probe in {"acquisition", "shuffled", "blank"}:
        assert [item.references for item in probed] == [item.references for item in plain]


def test_the_swap_probe_answers_as_the_swapped_pair(answerer):
    """The store holds every pair in both orders, so each probe has a plain counterpart."""
    plain = {item.id: item.prediction for item in predictions_of(answerer)}
    for item in predictions_of(answerer, probe="swap"):
        first, second = item.id.removesuffix("#swap").removeprefix("diff_vqa/").split("-")
        assert item.prediction == plain[f"diff_vqa/{second}-{first}"]


def test_a_second_exposure_can_be_supplied(answerer):
    plain = predictions_of(answerer)
    source = open_store(answerer / "store").pixels
    probed = predictions_of(answerer, probe="acquisition", exposure_source=source)
    assert [item.prediction for item in probed] == [item.prediction for item in plain]


def test_confidence_changes_no_prediction_and_is_written_to_the_file(answerer, tmp_path):
    plain = predictions_of(answerer)
    for confidence in ("beam", "clauses"):
        predictions = predictions_of(answerer, confidence=confidence)
        assert [item.prediction for item in predictions] == [item.prediction for item in plain]
        assert all(item.confidence["log_probability"] < 0 for item in predictions)
        assert all(0 < item.confidence["beam_mass"] <= 1 for item in predictions)
        write_predictions(tmp_path / "p.jsonl", predictions)
        assert read_predictions(tmp_path / "p.jsonl") == predictions
    assert all(not item.confidence for item in plain)
    write_predictions(tmp_path / "p.jsonl", plain)
    assert "confidence" not in (tmp_path / "p.jsonl").read_text("utf-8")


def test_a_stage_one_run_has_neither_probes_nor_candidates(trained, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    with pytest.raises(ValueError, match="no sample to answer under the probe 'swap'"):
        predictions_of(trained, probe="swap")
    assert "probe swap: 4 of 4 left out: sample about one image" in caplog.messages
    with pytest.raises(ValueError, match="Tiny has no candidates, which --confidence beam needs"):
        predictions_of(trained, confidence="beam")
    with pytest.raises(ValueError, match="no probe 'swpa'"):
        predictions_of(trained, probe="swpa")


def test_a_folder_without_a_valid_checkpoint_is_refused(trained, tmp_path):
    with pytest.raises(ValueError, match="is not a run folder"):
        next(predict(tmp_path, trained / "store", "test"))
    for name in ("config.yaml", "vocabulary.json"):
        (tmp_path / name).write_bytes((trained / "run" / name).read_bytes())
    with pytest.raises(ValueError, match=r"no valid checkpoint \(none written\)"):
        next(predict(tmp_path, trained / "store", "test"))
