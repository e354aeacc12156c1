"""What cannot be sharded is refused before anything is written."""

import pytest
from torch import nn

import tiny_models
import tiny_store
from lapse.config import load_config
from lapse.training.parallel import check_shardable
from lapse.training.trainer import train


def test_scalars_are_refused_before_anything_is_written(tmp_path):
    data = tiny_store.write(tmp_path / "store")
    preset, changes = tiny_models.TINY["pretraining", "global_contrastive"]
    config = load_config(preset, [*changes, "train.parallel=fsdp", "train.batch_size=4"])
    with pytest.raises(ValueError, match=r"2 parameters that are scalar \(contrast.bias\): use"):
        train(config, data, tmp_path / "run")
    assert not (tmp_path / "run").exists() or not any((tmp_path / "run").glob("*.json"))


def test_shared_parameters_are_refused():
    model = nn.ModuleDict({"one": nn.Linear(2, 2), "two": nn.Linear(2, 2)})
    check_shardable(model)
    model["two"].weight = model["one"].weight
    with pytest.raises(ValueError, match=r"shared by two parts of the model \(two.weight\)"):
        check_shardable(model)
