"""`train.precision: auto`: measured once on a CPU, kept in the run folder."""

import json
import logging

import pytest
import torch

import tiny_model
import tiny_store
from lapse.config import load_config
from lapse.training import precision
from lapse.training.distributed import DistributedContext
from lapse.training.precision import measure_precision, resolve_precision
from lapse.training.trainer import train

CPU = DistributedContext(0, 1, torch.device("cpu"))
GPU = DistributedContext(0, 1, torch.device("cuda"))
AUTO = tiny_model.config(train__precision="auto", train__steps=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_store.write(tmp_path_factory.mktemp("precision") / "store")


@pytest.mark.parametrize("slow", ["fp32", "bf16"])
@pytest.mark.parametrize("preset", ["pretrain-tiny", "diffvqa-text-only-tiny"])
def test_the_faster_one_is_chosen(preset, slow, monkeypatch, caplog):
    """The real block runs; the clock is replaced, so that the result does not depend on the CPU."""
    caplog.set_level(logging.INFO, logger="lapse")
    measured = precision._seconds
    kinds = []

    def seconds(module, inputs, kind):
        assert measured(module, inputs, kind) > 0.0
        kinds.append(kind)
        return 0.050 if kind == slow else 0.010

    monkeypatch.setattr(precision, "_seconds", seconds)
    monkeypatch.setattr(precision, "SECONDS", 0.0)
    fast = "bf16" if slow == "fp32" else "fp32"
    state = torch.get_rng_state()
    assert measure_precision(load_config(preset)) == fast
    assert kinds == ["fp32", "bf16"] * 2
    assert torch.equal(torch.get_rng_state(), state)
    assert f"precision: {fast} (measured on this CPU" in caplog.text


def test_a_model_without_products_is_not_measured(monkeypatch):
    monkeypatch.setattr(precision, "_seconds", lambda *_: pytest.fail("measured"))
    assert measure_precision(load_config("diffvqa-constant")) == "fp32"


def test_a_small_gain_is_not_enough(monkeypatch):
    monkeypatch.setattr(precision, "_seconds", lambda *args: 0.9 if args[2] == "bf16" else 1.0)
    assert measure_precision(AUTO) == "fp32"


def test_a_stated_precision_and_a_gpu_are_not_measured(monkeypatch):
    monkeypatch.setattr(precision, "measure_precision", lambda _: pytest.fail("measured"))
    stated = tiny_model.config(train__precision="bf16")
    assert resolve_precision(stated, CPU) is stated
    assert resolve_precision(AUTO, GPU).train.precision == "bf16"


def test_a_resumed_run_keeps_its_precision(data, tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "measure_precision", lambda _: "bf16")
    train(AUTO, data, tmp_path / "run")
    facts = tmp_path / "run" / "run.json"
    assert json.loads(facts.read_text("utf-8"))["precision"] == "bf16"
    assert "precision: auto" in (tmp_path / "run" / "config.yaml").read_text("utf-8")
    monkeypatch.setattr(precision, "measure_precision", lambda _: pytest.fail("measured again"))
    train(AUTO, data, tmp_path / "run")
    assert resolve_precision(AUTO, CPU, tmp_path / "run").train.precision == "bf16"
    values = json.loads(facts.read_text("utf-8"))
    del values["precision"]  # as earlier versions wrote it
    facts.write_text(json.dumps(values), "utf-8")
    assert resolve_precision(AUTO, CPU, tmp_path / "run").train.precision == "fp32"
