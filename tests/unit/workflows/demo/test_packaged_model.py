"""The demo's report with and without the model of the package."""

import pytest

import tiny_runs
import tiny_store
from lapse.data.store.store import open_store
from lapse.evaluation.html import RunReport, render_run_report
from lapse.inference.predict import PredictOptions, predict
from lapse.inference.pretrained import Lapse
from lapse.inference.pretrained.export import from_runs
from lapse.workflows.demo.packaged_model import (
    ANSWER_NAME,
    answer_pairs,
    load_packaged_model,
    predict_pairs,
)
from lapse.workflows.demo.page import MODEL, DemoResult, packaged_model_sentence, pair_examples


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A store, a model folder of its image size, and the answers of the run in the model."""
    folder = tmp_path_factory.mktemp("demo")
    store = open_store(tiny_store.write(folder / "store"))
    runs = tiny_runs.write(folder)
    facts = {"trained on": "nothing"}
    Lapse(from_runs(*runs, facts=facts)).save_pretrained(folder / "model")
    options = PredictOptions(limit=4, confidence="beam")
    answers = list(predict(runs[1], folder / "store", "test", options))
    return folder, store, answers


def result(demo, model):
    folder, store, answers = demo
    return DemoResult(
        store=store,
        folder=folder,
        predictions={MODEL: answers},
        scores={},
        facts={},
        num_patients=12,
        num_bins=tiny_store.SIDE,
        packaged_model=model,
    )


def test_the_model_answers_the_same_pairs_with_boxes(demo):
    folder, store, answers = demo
    model = load_packaged_model(store, folder / "model")
    predictions = predict_pairs(model, folder / "store", 4)
    assert [item.id for item in predictions] == [item.id for item in answers]
    assert predictions[0].confidence.keys() == answers[0].confidence.keys()
    shown = result(demo, model)
    pairs = pair_examples(shown)
    text = render_run_report(RunReport("demo", packaged_model_sentence(shown), pairs=pairs))
    assert text.count(f"<dt>{ANSWER_NAME}</dt>") == len(pairs) > 0
    assert "trained on: nothing" in text
    by_id = {item.id: item.prediction for item in predictions}
    for key, answer in answer_pairs(model, store, list(store.pairs_of("test"))).items():
        if f"diff_vqa/{key}" in by_id:
            assert answer.text == (by_id[f"diff_vqa/{key}"] or "(empty)")


def test_the_report_without_a_model(demo, caplog):
    caplog.set_level("INFO", logger="lapse")
    folder, store, _ = demo
    assert load_packaged_model(store, folder / "nothing") is None
    assert "the package contains no trained model" in caplog.text
    shown = result(demo, None)
    assert packaged_model_sentence(shown) == ()
    text = render_run_report(RunReport("demo", (), pairs=pair_examples(shown)))
    assert ANSWER_NAME not in text and "Boxes of the findings" not in text
