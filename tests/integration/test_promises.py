"""Promises 12, 13 and 19 of docs/explanation/promises.md: a few trials, and all of them if slow."""

import os
import shutil
from unittest.mock import patch

import pytest

import tiny_model
import tiny_store
from lapse.data.store.store import open_store
from lapse.training import optimizer_step, trainer
from lapse.training.checkpoint import MODEL, latest_valid_checkpoint
from lapse.training.trainer import Callbacks, train
from lapse.training.weight_files import read_tensors
from script_trials import run_script


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_store.write(tmp_path_factory.mktemp("promises") / "store")


def bits(run):
    """The weights and the log of a run."""
    checkpoint = latest_valid_checkpoint(run).checkpoint
    return (checkpoint.folder / MODEL).read_bytes(), (run / "metrics.jsonl").read_bytes()


class StopError(Exception):
    """Ends a run in this process as a kill would."""


def train_until(config, data, run, step):
    def stop(done):
        if done == step:
            raise StopError

    with pytest.raises(StopError):
        train(config, data, run, callbacks=Callbacks(on_step=stop))


def has_saved_nan(run):
    """Whether any checkpoint has a weight that is not finite."""
    return any(
        not bool(tensor.isfinite().all())
        for path in run.glob("checkpoints/*/model.safetensors")
        for tensor in read_tensors(path).values()
        if tensor.is_floating_point()
    )


@pytest.mark.parametrize("num_points", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_no_nan_reaches_a_checkpoint(num_points, data, tmp_path, promise):
    """A loss or a gradient that is not finite, at any sample and step."""
    names = [study.id for study in open_store(data).studies_of("train")]
    kept = 0
    for point in range(num_points):
        changes = {"optim__learning_rate": 1e39}  # overflows inside the optimizer
        if point % 2 == 0:
            changes = {"model__poison": f"cap/{names[point // 2 % len(names)]}"}
        run = tmp_path / str(point)
        config = tiny_model.config(train__save_every=1, train__seed=point, **changes)
        with pytest.raises(ValueError, match="is not finite"):
            train(config, data, run)
        kept += not has_saved_nan(run)
    config = tiny_model.config(train__save_every=1, optim__learning_rate=1e39)
    with (
        patch.object(optimizer_step.math, "isfinite", lambda _: True),
        patch.object(trainer, "check_finite", lambda *_: None),
    ):
        train(config, data, tmp_path / "sabotage")
    promise(12, kept, num_points, int(has_saved_nan(tmp_path / "sabotage")), 1)


@pytest.mark.parametrize("steps", [(3,), pytest.param(range(1, 41), marks=pytest.mark.slow)])
def test_workers_and_resuming_change_no_bit(steps, data, tmp_path, promise):
    """One run without a stop; then stopped after each step, with 0, 1 and 2 workers."""
    settings = {"train__steps": max(8, *steps) + 1}
    train(tiny_model.config(**settings), data, tmp_path / "straight")
    straight, kept, trials = bits(tmp_path / "straight"), 0, 0
    for num_workers in (0, 1, 2):
        for step in steps:
            run, every = tmp_path / "run", {"train__save_every": step}
            config = tiny_model.config(**settings, **every, train__num_workers=num_workers)
            train_until(config, data, run, step)
            train(config, data, run)
            kept, trials = kept + (bits(run) == straight), trials + 1
            shutil.rmtree(run)
    with patch.object(optimizer_step, "derive_seed", lambda *_: os.getpid()):
        train(tiny_model.config(**settings), data, tmp_path / "sabotage")
    promise(13, kept, trials, int(bits(tmp_path / "sabotage") != straight), 1)


@pytest.mark.parametrize("num_kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_killed_rank_changes_no_bit(num_kills, tmp_path, promise):
    """One of two ranks is killed; both start again."""
    result = run_script("kill_trials.py", "rank kills", tmp_path, num_kills, timeout=550)
    straight, sabotage = result.pop("straight"), result.pop("sabotage")
    kept = sum(digest == straight for digest in result.values())
    promise(19, kept, num_kills, int(sabotage != straight), 1)
