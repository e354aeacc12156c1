"""Training in real processes: kills, stop signals, two ranks, and losses that fall."""

import json

import pytest

import tiny_model
import tiny_store
from lapse.training.trainer import train
from script_trials import run_script


def run_trials(*arguments: object) -> dict:
    return run_script("kill_trials.py", *arguments, timeout=300)


@pytest.mark.parametrize(
    ("stage", "num_workers"),
    [
        ("pretrain", 0),
        ("diffvqa", 0),
        ("pretrain", 2),
        pytest.param("diffvqa", 2, marks=pytest.mark.slow),
    ],
)
def test_killed_runs_end_with_the_same_bits(stage, num_workers, tmp_path, promise):
    digests = run_trials(stage, tmp_path, num_workers)
    assert digests.pop("straight code") == 0
    straight, sabotage = digests.pop("straight"), digests.pop("sabotage")
    without_handler = digests.pop("without a handler")
    assert len(digests) == 9 + 22 + 8  # named points, random times, stop signals
    assert {name: digest for name, digest in digests.items() if digest != straight} == {}
    num_stops = sum(name.startswith("stopped by") for name in digests)
    promise(1, len(digests) - num_stops, 31, sum(digest != straight for digest in sabotage), 2)
    promise(11, num_stops, 8, sum(digest != straight for digest in without_handler), 4)


def test_two_ranks_are_one_process_with_the_same_batch(tmp_path):
    result = run_trials("ranks", tmp_path)
    assert result["codes"] == [0] * 7
    one, two = result["weights"]
    assert max(abs(a - b) for a, b in zip(one, two, strict=True)) < 1e-5
    for left, right in zip(*result["logs"], strict=True):
        assert left == pytest.approx(right, rel=1e-5, abs=1e-5)
    straight, resumed = result["resumed"]
    assert straight == resumed and result["killed"] != [0, 0]
    assert result["poisoned"] == [2, 2] and result["saved"] == []


def test_only_the_first_rank_logs_messages_and_shows_progress(tmp_path):
    first, second = run_trials("messages", tmp_path)
    assert any(line.startswith("step 8 of 8: validation loss") for line in first["messages"])
    assert first["progress"] == [7, 8] and second["progress"] == []
    warnings = ["ranks is 2, was 1", "skipped a damaged checkpoint: step-00000008"]
    assert [line.split(":")[0] for line in second["messages"]] == [
        w.split(":")[0] for w in warnings
    ]


def test_losses_fall_on_validation_patients_for_every_task(tmp_path):
    data = tiny_store.write(tmp_path / "store")
    config = tiny_model.config(train__steps=40, train__eval_every=20, train__save_every=40)
    report = train(config, data, tmp_path / "run")
    text = (tmp_path / "run" / "metrics.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    for task in ("cap", "aref", "gcap", "caref"):
        assert lines[-1][f"validate/{task}"] < 0.6 * lines[0][f"validate/{task}"]
        assert f"loss/{task}" in lines[-2]
    assert report.validation == {k: v for k, v in lines[-1].items() if k != "step"}
