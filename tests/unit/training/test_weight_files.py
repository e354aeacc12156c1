"""Weight files: tied tensors are written once, and hostile files are refused."""

import gc
import pickle

import pytest
import torch
from safetensors.torch import save_file

from lapse.training.weight_files import load_weights, read_tensors, save_weights
from tied_model import Tied


def test_round_trip_with_tied_weights(tmp_path):
    written, read = Tied(1), Tied(2)
    save_weights(tmp_path / "w.safetensors", written)
    load_weights(tmp_path / "w.safetensors", read)
    for name, tensor in written.state_dict().items():
        assert torch.equal(read.state_dict()[name], tensor), name
    assert read.head.weight is read.words.weight
    assert "head.weight" not in read_tensors(tmp_path / "w.safetensors")


class Canary:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_hostile_weight_files_are_refused_and_run_nothing(tmp_path, promise):
    canary = tmp_path / "canary"
    good = tmp_path / "good.safetensors"
    save_weights(good, Tied(0))
    tensors = read_tensors(good)
    header = good.read_bytes()
    hostile = {
        "pickle": pickle.dumps(Canary(str(canary))),
        "empty": b"",
        "huge header": (1 << 62).to_bytes(8, "little") + b"{}",
        "cut": header[:-1],
        "longer": header + b"\0",
        "no json": (4).to_bytes(8, "little") + b"abcd",
    }
    files = {}
    for name, raw in hostile.items():
        files[name] = tmp_path / f"{name}.safetensors"
        files[name].write_bytes(raw)
    torch.save({"words.weight": Canary(str(canary))}, tmp_path / "torch.safetensors")
    files["torch"] = tmp_path / "torch.safetensors"
    changed = {
        "lacks one": {k: v for k, v in tensors.items() if k != "scale"},
        "has one more": {**tensors, "more": torch.zeros(1)},
        "other shape": {**tensors, "scale": torch.zeros(3)},
        "other type": {**tensors, "scale": tensors["scale"].double()},
    }
    for name, values in changed.items():
        files[name] = tmp_path / f"{name}.safetensors"
        save_file(values, files[name])
    model = Tied(3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name, path in files.items():
        with pytest.raises(ValueError, match=r"safetensors|fit"):
            load_weights(path, model)
        assert all(torch.equal(before[k], v) for k, v in model.state_dict().items()), name
    assert not canary.exists()
    with pytest.warns(ResourceWarning):  # reading a pickle runs its code
        pickle.loads(hostile["pickle"])
        gc.collect()
    promise(9, len(files), 11, int(canary.exists()), 1)
