"""Both stages of the paper's models: trained, resumed, loaded, answered."""

import json
import logging
import shutil

import pytest
import torch

import tiny_store
from lapse.config import load_config
from lapse.inference.predict import PredictOptions, predict
from lapse.training.dry_run import dry_run
from lapse.training.run_folder import load_run
from lapse.training.trainer import Callbacks, train

ENCODER = (
    "model.encoder={image_size: 32, patch_size: 16, channels: 1, width: 16, layers: 1, heads: 2, "
    "mlp_width: 32}"
)
LOOP = (
    "train.precision=fp32",
    "train.steps=4",
    "train.eval_every=4",
    "train.save_every=2",
    "train.eval_samples=16",
)
STAGES = {
    "pretrain-tiny": (
        "model.adapter_width=16",
        "model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 160, "
        "dropout: 0.1}",
        "train.batch_size=16",
    ),
    "diffvqa-tiny": (
        "model.language_model={width: 16, layers: 1, heads: 2, max_positions: 96, dropout: 0.1}",
        "train.batch_size=8",
    ),
}


def config(preset, *more):
    return load_config(preset, [ENCODER, *STAGES[preset], *LOOP, *more])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_store.write(tmp_path_factory.mktemp("models") / "store")


@pytest.fixture(scope="module")
def pretrained(data, tmp_path_factory):
    run = tmp_path_factory.mktemp("stage1") / "run"
    train(config("pretrain-tiny"), data, run)
    return run


class CutError(Exception):
    """Ends a run between two steps."""


def cut_at(step):
    def on_step(done):
        if done == step:
            raise CutError

    return on_step


@pytest.mark.parametrize("preset", list(STAGES))
def test_a_resumed_run_equals_an_uninterrupted_one(preset, data, pretrained, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    more = [f"init_encoder={pretrained}"] if preset == "diffvqa-tiny" else []
    run = config(preset, *more)
    train(run, data, tmp_path / "straight")
    with pytest.raises(CutError):
        train(run, data, tmp_path / "cut", callbacks=Callbacks(on_step=cut_at(3)))
    train(run, data, tmp_path / "cut")
    assert any(line.startswith("resumed from step 2 of ") for line in caplog.messages)
    for name in ("model.safetensors", "optimizer.safetensors"):
        one, two = (
            (tmp_path / folder / "checkpoints" / "step-00000004" / name).read_bytes()
            for folder in ("straight", "cut")
        )
        assert one == two, name


def test_stage_one_logs_each_task(pretrained):
    text = (pretrained / "metrics.jsonl").read_text("utf-8")
    seen = [json.loads(line) for line in text.splitlines()]
    for task in ("cap", "aref", "gcap", "caref"):
        assert seen[-2][f"loss/{task}"] > 0
        assert seen[-1][f"validate/{task}"] < seen[0][f"validate/{task}"]


def test_stage_two_does_not_change_the_encoder_of_stage_one(data, pretrained, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    run = config("diffvqa-tiny", f"init_encoder={pretrained}")
    train(run, data, tmp_path / "run")
    assert f"encoder: from {pretrained}, step 4" in caplog.messages
    assert any(line.startswith("language model: ") and "random" in line for line in caplog.messages)
    first = load_run(pretrained, "cpu").model.encoder.state_dict()
    second = load_run(tmp_path / "run", "cpu").model.encoder.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_answers_of_both_stages(data, pretrained, tmp_path):
    shutil.copytree(pretrained, tmp_path / "one")
    options = PredictOptions(limit=8, num_beams=1, max_new_tokens=8)
    predictions = list(predict(tmp_path / "one", data, "test", options))
    assert [item.task for item in predictions] == [t for t in ("cap", "aref", "gcap", "caref")
                                             for _ in range(2)]  # fmt: skip
    train(config("diffvqa-tiny"), data, tmp_path / "two")
    options = PredictOptions(num_beams=2, max_new_tokens=8)
    answers = list(predict(tmp_path / "two", data, "test", options))
    assert [item.task for item in answers] == ["diff_vqa"] * 4


@pytest.mark.parametrize("preset", list(STAGES))
def test_dry_run_counts_parameters_without_building(preset, data, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    assert dry_run(config(preset), data, tmp_path / "run") == 4
    assert any(line.startswith("parameters: encoder ") for line in caplog.messages)
    assert not (tmp_path / "run").exists()
