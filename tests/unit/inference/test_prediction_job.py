"""A prediction job writes as it answers, continues after an interruption, and repeats nothing."""

import json
import logging
import os
import tracemalloc
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import tiny_model
import tiny_runs
import tiny_store
from lapse.core.files import file_lock
from lapse.core.progress import RateLog
from lapse.evaluation.predictions.jsonl import read_predictions, write_predictions
from lapse.images import ImageProcessing
from lapse.inference import selection
from lapse.inference.answerers import open_answerer
from lapse.inference.predict import PredictOptions, predict
from lapse.inference.prediction_job import predict_to_file
from lapse.inference.pretrained import Lapse, load
from lapse.inference.pretrained.export import from_runs
from lapse.training.trainer import train

OPTIONS = PredictOptions(num_beams=2, batch_size=3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a store, a stage-1 run, and its predictions as one call writes them."""
    folder = tmp_path_factory.mktemp("job")
    data = tiny_store.write(folder / "store")
    train(tiny_model.config(train__steps=2), data, folder / "run")
    write_predictions(folder / "straight.jsonl", predict(folder / "run", data, "test", OPTIONS))
    return folder


class Interrupted:
    """An answerer that counts its rows and raises an error after some batches."""

    def __init__(self, answerer, stop_after=None):
        self.answerer, self.left, self.answered = answerer, stop_after, Counter()
        self.tasks, self.batch_size, self.facts = (
            answerer.tasks,
            answerer.batch_size,
            answerer.facts,
        )
        self.check_store, self.prompt_length = answerer.check_store, answerer.prompt_length

    def answer(self, samples, pixels):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left = None if self.left is None else self.left - 1
        self.answered.update(sample.id for sample in samples)
        return self.answerer.answer(samples, pixels)


def run_job(folder, path, answerer=None, options=OPTIONS, **more):
    return predict_to_file(
        answerer or folder / "run", folder / "store", "test", path, options, **more
    )


def test_the_file_is_that_of_one_call(trained, tmp_path):
    calls = []
    count = run_job(trained, tmp_path / "p.jsonl", progress=lambda *call: calls.append(call))
    assert count == 52 and calls[0] == (3, 52) and calls[-1] == (52, 52)
    assert (tmp_path / "p.jsonl").read_bytes() == (trained / "straight.jsonl").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["p.jsonl"]


@pytest.mark.parametrize("stop_after", [1, 7, 17])
def test_an_interrupted_job_continues_without_repeating_rows(trained, tmp_path, stop_after, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    path = tmp_path / "p.jsonl"
    answerer = open_answerer(trained / "run", OPTIONS, device="cpu")
    first, second = Interrupted(answerer, stop_after), Interrupted(answerer)
    with pytest.raises(KeyboardInterrupt):
        run_job(trained, path, first)
    assert not path.exists()
    run_job(trained, path, second)
    assert path.read_bytes() == (trained / "straight.jsonl").read_bytes()
    answered = first.answered + second.answered
    assert set(answered.values()) == {1} and len(answered) == 52
    assert f"continues after {len(first.answered)} of 52 rows" in caplog.text


def test_a_line_that_a_kill_has_cut_is_answered_again(trained, tmp_path):
    """At every cut of the file: the end is removed, and only its batches are repeated."""
    path = tmp_path / "p.jsonl"
    part = tmp_path / "p.jsonl.partial" / "rank-0.tsv"
    answerer = open_answerer(trained / "run", OPTIONS, device="cpu")
    draw = np.random.default_rng(0)
    for _ in range(12):
        with pytest.raises(KeyboardInterrupt):
            run_job(trained, path, Interrupted(answerer, 8))
        kept = int(draw.integers(part.stat().st_size))
        os.truncate(part, kept)
        complete = part.read_bytes().count(b"\n")
        again = Interrupted(answerer)
        run_job(trained, path, again)
        assert path.read_bytes() == (trained / "straight.jsonl").read_bytes()
        assert 52 - complete <= again.answered.total() <= 52 - complete + 2
        path.unlink()


def test_a_window_bounds_the_memory_and_keeps_the_order(trained, tmp_path, monkeypatch):
    ids = [item.id for item in read_predictions(trained / "straight.jsonl")]
    monkeypatch.setattr(selection, "WINDOW", 5)
    run_job(trained, tmp_path / "p.jsonl")
    assert [item.id for item in read_predictions(tmp_path / "p.jsonl")] == ids


def test_memory_does_not_grow_with_the_number_of_samples(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "WINDOW", 32)
    data = tiny_store.write(tmp_path / "store", 96)
    run = open_answerer(trained / "run", PredictOptions(num_beams=1, batch_size=32), device="cpu")

    def peak(limit):
        tracemalloc.start()
        options = PredictOptions(limit=limit)
        count = predict_to_file(run, data, "test", tmp_path / "p.jsonl", options)
        value = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return count, value

    peak(52)  # caches of the tokenizer and of torch
    (few, low), (many, high) = peak(52), peak(416)
    assert many > 6 * few  # a task has fewer captions than its part of the limit
    # The ids are kept; a sample with its prediction has over 800 bytes.
    assert high < low + 500 * (many - few)


def test_another_job_does_not_continue_this_one(trained, tmp_path):
    path = tmp_path / "p.jsonl"
    answerer = open_answerer(trained / "run", OPTIONS, device="cpu")
    with pytest.raises(KeyboardInterrupt):
        run_job(trained, path, Interrupted(answerer, 2))
    with pytest.raises(ValueError, match=r"another job: generation is .*num_beams.: 1.*, was"):
        run_job(trained, path, options=PredictOptions(num_beams=1, batch_size=3))
    about = tmp_path / "p.jsonl.partial" / "job.json"
    about.write_text(json.dumps({}))
    with pytest.raises(ValueError, match=r"weights is .*, was None"):
        run_job(trained, path, answerer)
    about.write_text("[")
    with pytest.raises(ValueError, match=r"job\.json is damaged"):
        run_job(trained, path, answerer)
    about.unlink()
    (about.parent / "rank-0.tsv").write_text("900\t{}\n")
    with pytest.raises(ValueError, match="a line that is not a row of this job"):
        run_job(trained, path, answerer)


def test_one_process_at_a_time_writes_a_predictions_file(trained, tmp_path):
    path = tmp_path / "p.jsonl"
    refused = pytest.raises(ValueError, match=f"process {os.getpid()} writes to")
    with file_lock(tmp_path / "p.jsonl.partial" / "lock", print), refused:
        run_job(trained, path)
    run_job(trained, path)


def test_an_unusable_output_is_refused_before_anything_is_written(trained, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="folder is a folder"):
        run_job(trained, tmp_path / "folder")
    with pytest.raises(ValueError, match="file is a file"):
        run_job(trained, tmp_path / "file" / "p.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_store.write(folder / "store")
    Lapse(from_runs(*tiny_runs.write(folder))).save_pretrained(folder / "model")
    return folder


def test_a_model_folder_answers_with_the_model_of_the_tasks(model_folder, tmp_path):
    model = load(model_folder / "model", device="cpu")
    for tasks, expected in (((), model.answerer), (("cap",), model.captioner)):
        options = PredictOptions(tasks=tasks)
        answerer = open_answerer(model_folder / "model", options, device="cpu")
        assert type(answerer.model) is type(expected)
        path = tmp_path / "p.jsonl"
        assert predict_to_file(answerer, model_folder / "store", "test", path, options) == 4
        assert {item.task for item in read_predictions(path)} == {*(tasks or ("diff_vqa",))}
    with pytest.raises(ValueError, match="cap, diff_vqa together"):
        open_answerer(model_folder / "model", PredictOptions(tasks=("cap", "diff_vqa")))


def test_a_model_of_other_squares_is_refused(model_folder, tmp_path):
    parts = from_runs(model_folder / "stage1", model_folder / "stage2")
    parts = replace(parts, processing=ImageProcessing("letterbox"))
    Lapse(parts).save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="the model reads images by letterbox, intensity"):
        predict_to_file(tmp_path / "model", model_folder / "store", "test", tmp_path / "p.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_names_that_are_not_models_are_refused(tmp_path):
    with pytest.raises(ValueError, match="and not an exported model"):
        open_answerer(tmp_path)
    with pytest.raises(ValueError, match="40 hex digits"):
        open_answerer("org/name")


def test_the_rate_and_the_time_left_are_logged_once_per_interval(caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    times = iter([0.0, 30.0, 60.0, 61.0, 100.0])
    log = RateLog(logging.getLogger("lapse"), "answers", clock=lambda: next(times))
    for done in (5, 10, 11):
        log(done, 100)
    log.finish()
    assert caplog.messages == [
        "answers: 10 of 100, 0.2 a second, 0:09:00 left",
        "answers: 11 in 100.0 s, 0.1 a second",
    ]
