"""The loop: it learns, it resumes to the last bit, and it stops rather than spoil a run."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tiny_model
import tiny_store
from lapse.training.run_folder import load_run
from lapse.training.trainer import train

HERE = Path(__file__).parents[2] / "support"
SAVED = "checkpoints/step-00000008"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_store.write(tmp_path_factory.mktemp("train") / "store")


@pytest.fixture(scope="module")
def pretrained(data, tmp_path_factory):
    """A finished stage-1 run; tests copy it or only read it."""
    run = tmp_path_factory.mktemp("pretrained") / "run"
    train(tiny_model.config(), data, run)
    return run


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]


def trials(*arguments: object) -> dict:
    import lapse

    source = str(Path(lapse.__file__).parents[1])
    path = os.pathsep.join([source, str(HERE)])
    done = subprocess.run(
        [sys.executable, str(HERE / "kill_trials.py"), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_trials(found: dict) -> None:
    assert found.pop("straight code") == 0
    straight, sabotage = found.pop("straight"), found.pop("sabotage")
    assert len(found) == 11
    assert {name for name, sha in found.items() if sha != straight} == set()
    assert straight not in sabotage


@pytest.mark.parametrize("stage", ["pretrain", "diffvqa"])
def test_killed_runs_end_with_the_same_bits(stage, tmp_path):
    check_trials(trials(stage, tmp_path, 0))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["pretrain", "diffvqa"])
def test_killed_runs_with_workers_end_with_the_same_bits(stage, tmp_path):
    check_trials(trials(stage, tmp_path, 2))


def test_two_ranks_are_one_process_with_the_same_batch(tmp_path):
    found = trials("ranks", tmp_path)
    assert found["codes"] == [0] * 7
    one, two = found["weights"]
    assert max(abs(a - b) for a, b in zip(one, two, strict=True)) < 1e-5
    for left, right in zip(*found["logs"], strict=True):
        assert left == pytest.approx(right, rel=1e-5, abs=1e-5)
    straight, resumed = found["resumed"]
    assert straight == resumed and found["killed"] != [0, 0]
    assert found["poisoned"] == [2, 2] and found["saved"] == []


def test_losses_fall_on_held_out_patients_for_every_task(data, tmp_path):
    config = tiny_model.config(train__steps=40, train__eval_every=20, train__save_every=40)
    report = train(config, data, tmp_path / "run")
    first, last = lines(tmp_path / "run")[0], lines(tmp_path / "run")[-1]
    for task in ("cap", "aref", "gcap", "caref"):
        assert last[f"validate/{task}"] < 0.6 * first[f"validate/{task}"]
        assert f"loss/{task}" in lines(tmp_path / "run")[-2]
    assert report.validation == {k: v for k, v in last.items() if k != "step"}


def test_the_log_is_free_of_clocks_and_the_run_folder_complete(pretrained):
    assert [line["step"] for line in lines(pretrained)] == [0, 3, 4, 6, 8, 8]
    names = {path.name for path in pretrained.iterdir()} - {"tensorboard"}
    assert names == {
        "began.json",
        "checkpoints",
        "config.yaml",
        "metrics.jsonl",
        "run.json",
        "timing.jsonl",
        "vocabulary.json",
    }
    assert load_run(pretrained).step == 8


def test_two_equal_runs_are_equal_and_another_seed_is_not(data, pretrained, tmp_path):
    train(tiny_model.config(train__num_workers=2), data, tmp_path / "again")
    train(tiny_model.config(train__seed=1), data, tmp_path / "other")
    weights = [(run / SAVED / "model.safetensors").read_bytes() for run in
               (pretrained, tmp_path / "again", tmp_path / "other")]  # fmt: skip
    assert weights[0] == weights[1] != weights[2]


def test_accumulation_gives_the_same_run(data, tmp_path):
    for accumulate in (1, 2):
        config = tiny_model.config(
            model__dropout=0.0, train__gradient_accumulation_steps=accumulate
        )
        train(config, data, tmp_path / str(accumulate))
    for left, right in zip(lines(tmp_path / "1"), lines(tmp_path / "2"), strict=True):
        assert left == pytest.approx(right, rel=1e-5, abs=1e-5)


def test_a_damaged_checkpoint_is_skipped_aloud_and_made_again(data, tmp_path):
    train(tiny_model.config(), data, tmp_path / "run")
    path = tmp_path / "run" / SAVED / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 4]) + whole[-2:])
    said = []
    report = train(tiny_model.config(), data, tmp_path / "run", say=said.append)
    assert "skipped a damaged checkpoint: step-00000008: model.safetensors does not match " \
           "its SHA-256" in said  # fmt: skip
    assert f"resumed from step 6 of {tmp_path / 'run'}" in said
    assert report.resumed_from == 6
    assert path.read_bytes() == whole


def test_a_finished_run_is_left_alone(data, pretrained):
    before = (pretrained / "metrics.jsonl").read_bytes()
    said = []
    report = train(tiny_model.config(), data, pretrained, say=said.append)
    assert report.resumed_from == report.step == 8
    assert f"resumed from step 8 of {pretrained}" in said
    assert (pretrained / "metrics.jsonl").read_bytes() == before


def test_another_configuration_or_other_data_is_refused(data, pretrained, tmp_path):
    changed = tiny_model.config(optim__learning_rate=0.5, train__num_workers=1)
    with pytest.raises(ValueError, match=r"optim\.learning_rate is 0\.5, was 0\.01\. Give") as why:
        train(changed, data, pretrained)
    assert "workers" not in str(why.value)
    other = tiny_store.write(tmp_path / "other", num_patients=18)
    with pytest.raises(ValueError, match="started differently: data is "):
        train(tiny_model.config(), other, pretrained)
    with pytest.raises(ValueError, match="holds a run already"):
        train(tiny_model.config(), data, pretrained, resume=False)
    with pytest.raises(ValueError, match=r"no run folder and not empty \(it holds pairs"):
        train(tiny_model.config(), data, data)


def test_a_cut_log_is_noticed(data, tmp_path):
    train(tiny_model.config(), data, tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    with pytest.raises(ValueError, match="the log was cut"):
        train(tiny_model.config(), data, tmp_path / "run")


def test_a_loss_that_is_no_number_stops_and_saves_nothing(data, tmp_path):
    config = tiny_model.config(model__poison="cap/image-000", train__save_every=1)
    with pytest.raises(ValueError, match=r"step \d+: loss, loss/cap is not finite") as why:
        train(config, data, tmp_path / "run")
    assert "cap/image-000" in str(why.value)
    step = int(str(why.value).split(":")[0].split()[1])
    saved = sorted(path.name for path in (tmp_path / "run").glob("checkpoints/*"))
    assert saved == [f"step-{k:08d}" for k in (step - 2, step - 1) if k > 0]
    for name in saved:
        raw = (tmp_path / "run" / "checkpoints" / name / "state.json").read_text("utf-8")
        assert "NaN" not in raw


def test_a_dry_run_says_much_and_writes_nothing(data, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    said = []
    report = train(tiny_model.config(), data, tmp_path / "run", dry_run=True, say=said.append)
    text = "\n".join([*said, *caplog.messages])
    for needed in (
        "learning_rate: 0.01",
        "parameters: encoder 16400",
        "steps: 8 of 16 rows",
        "train: 16 of 16 records in use, 208 samples",
        "first batch: images [4, 1, 32, 32]",
    ):
        assert needed in text
    assert report.total_steps == 8 and not (tmp_path / "run").exists()


def test_stage_two_takes_the_encoder_of_stage_one(data, pretrained, tmp_path):
    config = tiny_model.config("diffvqa", init_encoder=str(pretrained), train__steps=1)
    said, seen = [], []
    train(config, data, tmp_path / "run", say=said.append, on_step=seen.append)
    assert f"encoder: from {pretrained}, step 8" in said and seen == [1]
    random = tiny_model.config("diffvqa", train__steps=1)
    train(random, data, tmp_path / "random", say=said.append)
    assert "encoder: random weights (init_encoder is not set)" in said
    first = [lines(tmp_path / name)[0]["validate/loss"] for name in ("run", "random")]
    assert first[0] != first[1]


def test_an_encoder_of_another_size_is_refused(data, pretrained, tmp_path):
    made = tiny_model.config("diffvqa", init_encoder=str(pretrained), train__steps=1)
    source = tmp_path / "stage one"
    shutil.copytree(pretrained, source)
    text = (pretrained / "config.yaml").read_text("utf-8")
    (source / "config.yaml").write_text(text.replace("image_size: 32", "image_size: 64"))
    changed = made.model_copy(update={"init_encoder": str(source)})
    with pytest.raises(ValueError, match="other sizes: image_size is 32, there 64"):
        train(changed, data, tmp_path / "run")


def test_progress_counts_every_step(data, tmp_path):
    seen = []
    train(tiny_model.config(train__steps=3), data, tmp_path / "run",
          progress=lambda done, total: seen.append((done, total)))  # fmt: skip
    assert seen == [(1, 3), (2, 3), (3, 3)]
