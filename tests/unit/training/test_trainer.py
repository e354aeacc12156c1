"""The trainer: run folders, resuming, callbacks, and errors that stop a run."""

import json
import logging
import shutil

import pytest
import torch

import tiny_model
import tiny_store
from lapse.data.store.store import open_store
from lapse.training.initialization import resolve_init_source
from lapse.training.optim import learning_rate
from lapse.training.run_folder import load_run
from lapse.training.trainer import Callbacks, Trainer, train

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


def test_the_run_folder_has_all_files(pretrained):
    assert [line["step"] for line in lines(pretrained)] == [0, 3, 4, 6, 8, 8]
    names = {path.name for path in pretrained.iterdir()} - {"tensorboard"}
    assert names == {
        "initialization.json",
        "checkpoints",
        "config.yaml",
        "metrics.jsonl",
        "run.json",
        "run.lock",
        "timing.jsonl",
        "vocabulary.json",
    }
    assert load_run(pretrained).step == 8


def test_equal_runs_have_equal_weights_and_another_seed_has_others(data, pretrained, tmp_path):
    train(tiny_model.config(train__num_workers=2), data, tmp_path / "same")
    train(tiny_model.config(train__seed=1), data, tmp_path / "other")
    weights = [(run / SAVED / "model.safetensors").read_bytes() for run in
               (pretrained, tmp_path / "same", tmp_path / "other")]  # fmt: skip
    assert weights[0] == weights[1] != weights[2]


def test_accumulation_gives_the_same_run(data, tmp_path):
    for steps in (1, 2):
        config = tiny_model.config(model__dropout=0.0, train__gradient_accumulation_steps=steps)
        train(config, data, tmp_path / str(steps))
    for left, right in zip(lines(tmp_path / "1"), lines(tmp_path / "2"), strict=True):
        assert left == pytest.approx(right, rel=1e-5, abs=1e-5)


def test_a_damaged_checkpoint_is_skipped_with_a_warning_and_written_again(data, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    train(tiny_model.config(), data, tmp_path / "run")
    path = tmp_path / "run" / SAVED / "model.safetensors"
    intact = path.read_bytes()
    path.write_bytes(intact[:-3] + bytes([intact[-3] ^ 4]) + intact[-2:])
    report = train(tiny_model.config(), data, tmp_path / "run")
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "step-00000008: model.safetensors does not match its SHA-256" in warning.getMessage()
    assert f"resumed from step 6 of {tmp_path / 'run'}" in caplog.messages
    assert report.resumed_from == 6
    assert path.read_bytes() == intact


def test_a_finished_run_does_not_change(data, pretrained, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    before = (pretrained / "metrics.jsonl").read_bytes()
    report = train(tiny_model.config(), data, pretrained)
    assert report.resumed_from == report.step == 8
    assert f"resumed from step 8 of {pretrained}" in caplog.messages
    assert (pretrained / "metrics.jsonl").read_bytes() == before


def test_another_configuration_or_other_data_is_refused(data, pretrained, tmp_path):
    changed = tiny_model.config(optim__learning_rate=0.5, train__num_workers=1)
    with pytest.raises(
        ValueError, match=r"optim\.learning_rate is 0\.5, was 0\.01\. Give"
    ) as error:
        train(changed, data, pretrained)
    assert "workers" not in str(error.value)
    other = tiny_store.write(tmp_path / "other", num_patients=18)
    with pytest.raises(ValueError, match="started differently: data is "):
        train(tiny_model.config(), other, pretrained)
    with pytest.raises(ValueError, match="already holds a run"):
        train(tiny_model.config(), data, pretrained, resume=False)
    with pytest.raises(ValueError, match=r"not a run folder and not empty \(it holds checksums"):
        train(tiny_model.config(), data, data)


def test_a_truncated_log_is_an_error(data, tmp_path):
    train(tiny_model.config(), data, tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    with pytest.raises(ValueError, match="the log was cut"):
        train(tiny_model.config(), data, tmp_path / "run")


def test_a_loss_that_is_not_finite_stops_the_run_and_saves_nothing(data, tmp_path):
    config = tiny_model.config(model__poison="cap/image-000", train__save_every=1)
    with pytest.raises(ValueError, match=r"step \d+: loss, loss/cap is not finite") as error:
        train(config, data, tmp_path / "run")
    assert "cap/image-000" in str(error.value)
    step = int(str(error.value).split(":")[0].split()[1])
    saved = sorted(path.name for path in (tmp_path / "run").glob("checkpoints/*"))
    assert saved == [f"step-{k:08d}" for k in (step - 2, step - 1) if k > 0]
    for name in saved:
        raw = (tmp_path / "run" / "checkpoints" / name / "state.json").read_text("utf-8")
        assert "NaN" not in raw


def test_stage_two_takes_the_encoder_of_stage_one(data, pretrained, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    config = tiny_model.config("diffvqa", init_encoder=str(pretrained), train__steps=1)
    train(config, data, tmp_path / "run")
    assert f"encoder: from {pretrained}, step 8" in caplog.messages
    random = tiny_model.config("diffvqa", train__steps=1)
    train(random, data, tmp_path / "random")
    assert "encoder: random weights (init_encoder is not set)" in caplog.messages
    loaded, drawn = (lines(tmp_path / name)[0]["validate/loss"] for name in ("run", "random"))
    assert loaded != drawn


def test_an_encoder_of_another_size_is_refused(data, pretrained, tmp_path):
    config = tiny_model.config("diffvqa", init_encoder=str(pretrained), train__steps=1)
    source = tmp_path / "stage one"
    shutil.copytree(pretrained, source)
    text = (pretrained / "config.yaml").read_text("utf-8")
    (source / "config.yaml").write_text(text.replace("image_size: 32", "image_size: 64"))
    changed = config.model_copy(update={"init_encoder": str(source)})
    with pytest.raises(ValueError, match="other sizes: image_size is 32, there 64"):
        train(changed, data, tmp_path / "run")


def test_callbacks_follow_every_step(data, tmp_path):
    progress, steps = [], []
    callbacks = Callbacks(lambda done, total: progress.append((done, total)), steps.append)
    train(tiny_model.config(train__steps=3), data, tmp_path / "run", callbacks=callbacks)
    assert progress == [(1, 3), (2, 3), (3, 3)]
    assert steps == [1, 2, 3]


def test_a_trainer_can_be_used_without_a_process_group(data, pretrained, tmp_path):
    trainer = Trainer(tiny_model.config(), open_store(data), tmp_path / "run")
    assert (trainer.step, trainer.total_steps) == (0, 8)
    report = trainer.train()
    assert report.step == trainer.step == 8
    assert trainer.optimizer.param_groups[0]["lr"] == learning_rate(trainer.config.optim, 7, 8)
    weights = (pretrained / SAVED / "model.safetensors").read_bytes()
    assert (tmp_path / "run" / SAVED / "model.safetensors").read_bytes() == weights


def test_a_class_that_is_not_a_model_is_refused(data, tmp_path):
    config = tiny_model.config(model_type="tiny_model:Untrainable")
    with pytest.raises(ValueError, match="not a trainable model: it needs the methods loss"):
        train(config, data, tmp_path / "run")


def test_the_best_weights_are_kept_and_read(data, tmp_path):
    """The rate rises in every step, so that the loss is lowest before the end."""
    changes = {"optim": {"learning_rate": 3.0, "warmup_steps": 8}, "train__eval_every": 1}
    train(tiny_model.config(train__keep="best", **changes), data, tmp_path / "run")
    losses = {
        line["step"]: line["validate/loss"]
        for line in lines(tmp_path / "run")
        if "validate/loss" in line and line["step"] > 0
    }
    best = min(losses, key=losses.__getitem__)
    assert best < 8
    assert load_run(tmp_path / "run").step == best
    (folder,) = (tmp_path / "run/best/checkpoints").iterdir()
    assert folder.name == f"step-{best:08d}"
    source = resolve_init_source(str(tmp_path / "run"), "init_model", "pretrain")
    assert source.name.endswith(f"step {best}")


def test_a_resumed_run_keeps_the_same_best_weights(data, tmp_path):
    def stop_at_5(step):
        if step == 5:
            raise KeyboardInterrupt

    changes = {"optim": {"learning_rate": 3.0, "warmup_steps": 8}, "train__eval_every": 1}
    config = tiny_model.config(train__keep="best", **changes)
    train(config, data, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(config, data, tmp_path / "resumed", callbacks=Callbacks(on_step=stop_at_5))
    train(config, data, tmp_path / "resumed")
    whole, resumed = (
        next((tmp_path / name / "best/checkpoints").glob("*/model.safetensors"))
        for name in ("whole", "resumed")
    )
    assert whole.parent.name == resumed.parent.name
    assert whole.read_bytes() == resumed.read_bytes()


def test_the_best_weights_need_a_validation_split(tmp_path):
    train_only = tiny_store.write(tmp_path / "store", num_patients=4)
    with pytest.raises(ValueError, match="no validation sample of these tasks"):
        train(tiny_model.config(train__keep="best"), train_only, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_second_tasks_add_the_mean_loss_of_another_kind_of_record(data, tmp_path):
    config = tiny_model.config(
        "diffvqa",
        data={"tasks": ["diff_vqa"], "second_tasks": ["cap"], "max_tokens": 96},
        model={"dropout": 0.0},
        optim={"learning_rate": 1e-9, "warmup_steps": 0, "weight_decay": 0.0},
    )
    trainer = Trainer(config, open_store(data), tmp_path / "run")
    batches = trainer.data.stream.batches(0)
    assert [batch.part for batch in batches] == [0, 1]
    assert [batch.image_index.shape for batch in batches] == [(6, 2), (6, 1)]
    assert set(trainer.data.validation) == {"diff_vqa", "cap"}
    trainer.train()
    trainer.optimizer.zero_grad()
    trainer.optimizer_step.backward(batches)
    gradient = trainer.model.project.weight.grad.clone()
    trainer.optimizer.zero_grad()
    sum(trainer.model.loss(batch)["loss"] for batch in batches).backward()
    assert torch.allclose(gradient, trainer.model.project.weight.grad, atol=1e-6)
