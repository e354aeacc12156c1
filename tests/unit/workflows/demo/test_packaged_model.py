"""The answers of the packaged model in the demo's report."""

import pytest

import tiny_runs
import tiny_store
from lapse.core.types import Score
from lapse.data.store.store import open_store
from lapse.evaluation.html.run_page import RunReport, render_run_report
from lapse.inference.predict import PredictOptions, predict
from lapse.inference.pretrained import Lapse, load
from lapse.inference.pretrained.export import from_runs
from lapse.workflows.demo.packaged_model import (
    ANSWER_NAME,
    PACKAGED_MODEL,
    answer_pairs,
    predict_pairs,
)
from lapse.workflows.demo.page import (
    MODEL,
    DemoResult,
    comparison_sentence,
    pair_examples,
    training_facts,
)


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


def result(demo, model, *, is_improved=True, scores=None):
    folder, store, answers = demo
    return DemoResult(
        store=store,
        folder=folder,
        predictions={MODEL: answers},
        scores=scores or {},
        facts={},
        num_patients=12,
        packaged_model=model,
        is_improved=is_improved,
    )


def test_the_model_answers_the_same_pairs_with_boxes(demo):
    folder, store, answers = demo
    model = load(folder / "model", device="cpu")
    predictions = predict_pairs(model, folder / "store", 4)
    assert [item.id for item in predictions] == [item.id for item in answers]
    assert predictions[0].confidence.keys() == answers[0].confidence.keys()
    shown = result(demo, model)
    pairs = pair_examples(shown)
    text = render_run_report(RunReport("demo", (training_facts(model),), pairs=pairs))
    assert text.count(f"<dt>{ANSWER_NAME}</dt>") == len(pairs) > 0
    assert "trained on: nothing" in text
    by_id = {item.id: item.prediction for item in predictions}
    for key, answer in answer_pairs(model, store, list(store.pairs_of("test"))).items():
        if f"diff_vqa/{key}" in by_id:
            assert answer.text == (by_id[f"diff_vqa/{key}"] or "(empty)")


def test_the_better_model_by_validation_is_first(demo):
    folder, _, _ = demo
    model = load(folder / "model", device="cpu")
    for is_improved, first in ((True, "Continued model"), (False, ANSWER_NAME)):
        pairs = pair_examples(result(demo, model, is_improved=is_improved))
        assert {pair.answers[0].name for pair in pairs} == {first}


@pytest.mark.parametrize(("value", "word"), [(0.5, "is above"), (0.2, "is NOT above")])
def test_the_page_compares_with_the_best_baseline(demo, value, word):
    values = {MODEL: value, PACKAGED_MODEL: 0.6, "constant answer": 0.3, "nothing": float("nan")}
    scores = {
        name: {"diff_vqa": {"change F1": Score("change F1", item)}} for name, item in values.items()
    }
    sentence = comparison_sentence(result(demo, None, scores=scores))
    assert word in sentence and "0.300 (constant answer)" in sentence
