"""The MS-CXR-T table of simulated patients is stored, and true answers score 1."""

from lapse.core.changes import QUESTION_CHANGED
from lapse.core.registry import load
from lapse.core.types import Prediction
from lapse.data.prepare.prepare import PrepareOptions, find_roots, prepare
from lapse.data.store.store import open_store
from lapse.evaluation.evaluate import evaluate
from lapse.phantom.dataset.writer import SimulateConfig, simulate


def test_progressions_of_simulated_patients_are_stored_and_scored(tmp_path):
    simulate(tmp_path / "raw", SimulateConfig(patients=10, seed=8, size=64, visits=(3, 3)))
    prepare(find_roots([tmp_path / "raw"]), tmp_path / "store", PrepareOptions(16))
    store = open_store(tmp_path / "store")
    rows = store.pairs_of("test", "progression")
    answers = {
        (pair.reference.id, pair.main.id): pair.answer
        for pair in store.pairs_of("test", "difference")
        if pair.question == QUESTION_CHANGED
    }
    assert len(rows) >= 1
    assert all(not list(store.pairs_of(split, "progression")) for split in ("train", "validate"))
    predictions = []
    for pair in rows:
        (sample,) = load("tasks", "progression")(16).samples(pair)
        answer = answers[pair.reference.id, pair.main.id]
        predictions.append(Prediction(sample.id, sample.task, answer, (sample.answer,)))
    assert evaluate(predictions)["progression"]["accuracy"].value == 1.0
