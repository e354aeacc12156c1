"""A dry run logs what a run would do, and writes nothing."""

import logging

import pytest

import tiny_model
import tiny_store
from lapse.training.dry_run import dry_run
from lapse.training.trainer import train


def test_a_dry_run_logs_the_run_and_writes_nothing(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    data = tiny_store.write(tmp_path / "store")
    assert dry_run(tiny_model.config(), data, tmp_path / "run") == 8
    for line in (
        "  learning_rate: 0.01",
        "parameters: encoder 16400",
        "steps: 8 of 16 rows",
        "train: 16 of 16 records in use, 208 samples",
        "first batch: images [4, 1, 32, 32], tokens [16, 23], rows 16",
    ):
        assert line in caplog.messages
    assert not (tmp_path / "run").exists()


def test_a_dry_run_into_another_run_is_refused(tmp_path):
    data = tiny_store.write(tmp_path / "store")
    train(tiny_model.config(train__steps=1), data, tmp_path / "run")
    assert dry_run(tiny_model.config(train__steps=1), data, tmp_path / "run") == 1
    with pytest.raises(ValueError, match=r"started differently: train\.steps is 2, was 1"):
        dry_run(tiny_model.config(train__steps=2), data, tmp_path / "run")
