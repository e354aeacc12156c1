"""Training data: what is read, and what is logged about it."""

import logging

import pytest

import tiny_model
import tiny_store
from lapse.data.loading.training_data import read_training_data
from lapse.data.store.store import open_store
from tiny_loading import TASKS


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_store(tiny_store.write(tmp_path_factory.mktemp("loading") / "store"))


def test_training_data_logs_what_it_reads(store, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    data = read_training_data(store, tiny_model.config())
    assert caplog.messages[0].startswith("vocabulary: trimmed to ")
    assert caplog.messages[1] == "train: 16 of 16 records in use, 208 samples"
    assert set(data.validation) == set(TASKS)
    assert all(len(rows) == 4 for _, rows in data.validation.values())
