"""The demo's page with a model of the package beside its own run, and without one."""

import pytest

import tiny_runs
import tiny_store
from lapse.data.store.store import open_store
from lapse.evaluation.html import RunReport, render_run_report
from lapse.inference.predict import PredictOptions, predict
from lapse.inference.pretrained import Lapse
from lapse.inference.pretrained.export import from_runs
from lapse.workflows.demo.packaged_model import (
    OPINION,
    is_packaged,
    opinions,
    small_answers,
    small_model,
)
from lapse.workflows.demo.page import MODEL, DemoResult, _pairs, _small_sentence


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store, a model folder of its side, and the answers of the run that it was made of."""
    folder = tmp_path_factory.mktemp("demo")
    store = open_store(tiny_store.write(folder / "store"))
    runs = tiny_runs.write(folder)
    facts = {"trained on": "nothing"}
    Lapse(from_runs(*runs, facts=facts)).save_pretrained(folder / "model")
    answers = list(
        predict(runs[1], folder / "store", "test", PredictOptions(limit=4, confidence="beam"))
    )
    return folder, store, answers


def result(made, small):
    folder, store, answers = made
    return DemoResult(
        store=store,
        folder=folder,
        predictions={MODEL: answers},
        scores={},
        facts={},
        patients=12,
        num_bins=tiny_store.SIDE,
        small=small,
    )


def test_the_small_model_answers_the_same_pairs_with_boxes(made):
    folder, store, answers = made
    small = small_model(store, pytest.fail, folder / "model")
    said = small_answers(small, folder / "store", 4, lambda *_: None)
    assert [item.id for item in said] == [item.id for item in answers]
    assert said[0].confidence.keys() == answers[0].confidence.keys()
    shown = result(made, small)
    pairs = _pairs(shown)
    text = render_run_report(RunReport("demo", _small_sentence(shown), pairs=tuple(pairs)))
    assert text.count(f"<dt>{OPINION}</dt>") == len(pairs) > 0
    assert "trained on: nothing" in text
    by_id = {item.id: item.prediction for item in said}
    found = opinions(small, store, list(store.pairs_of("test")))
    for name, opinion in found.items():
        if f"diff_vqa/{name}" in by_id:
            assert opinion.text == (by_id[f"diff_vqa/{name}"] or "(empty)")


def test_without_one_the_page_is_as_before(made):
    folder, store, _ = made
    told = []
    assert not is_packaged(folder / "nothing")
    assert small_model(store, told.append, folder / "nothing") is None
    assert told == ["the package carries no trained model: the demo's own run stands alone"]
    shown = result(made, None)
    assert _small_sentence(shown) == ()
    text = render_run_report(RunReport("demo", (), pairs=tuple(_pairs(shown))))
    assert OPINION not in text and "Boxes of the findings" not in text
