"""Model folders of others are data: they are checked, and they name no code."""

import json
import math
import resource
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny_runs
from lapse.core.files import sha256_of
from lapse.inference.pretrained import Lapse, load
from lapse.inference.pretrained.export import from_runs
from lapse.training.exported_model import CONFIG, DEFAULT, WEIGHTS, read_exported_model


def copy_model(folder, change):
    """The packaged model with a changed config.json."""
    values = json.loads((DEFAULT / CONFIG).read_text("utf-8"))
    change(values)
    folder.mkdir()
    (folder / CONFIG).write_text(json.dumps(values), "utf-8")
    shutil.copy(DEFAULT / WEIGHTS, folder / WEIGHTS)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A model folder of a few kilobytes."""
    folder = tmp_path_factory.mktemp("exported")
    Lapse(from_runs(*tiny_runs.write(folder))).save_pretrained(folder / "model")
    read_exported_model(folder / "model")
    return folder / "model"


def change_folder(source, folder, *, config=lambda values: None, weights=lambda tensors: None):
    """A copy of a model folder with changed files and a matching SHA-256."""
    shutil.copytree(source, folder)
    tensors = load_file(folder / WEIGHTS)
    weights(tensors)
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    values = json.loads((folder / CONFIG).read_text("utf-8"))
    values["sha256"] = sha256_of(folder / WEIGHTS)
    config(values)
    (folder / CONFIG).write_text(json.dumps(values), "utf-8")
    return folder


def set_value(key, value):
    """A change of one key, "a.b.c", of config.json."""

    def change(values):
        *groups, last = key.split(".")
        for group in groups:
            values = values[group]
        values[last] = value

    return change


FIRST = "captioner.decoder.tokens.weight"


def set_tensor(name, function):
    return lambda tensors: tensors.update({name: function(tensors.get(name, torch.zeros(2)))})


def put(value):
    def change(tensor):
        tensor = tensor.clone()
        tensor.view(-1)[3] = value
        return tensor

    return change


HOSTILE = {
    "a number of layers": (
        {"config": set_value("pretrain.model.decoder.layers", 900)},
        r"layers of pretrain is 900, and model.safetensors holds \d+ tensors",
    ),
    "100,000 layers": (
        {"config": set_value("pretrain.model.encoder.layers", 100_000)},
        "model.encoder.layers: Input should be less than or equal to 1000",
    ),
    "layers of transformers": (
        {"config": set_value("pretrain.model.encoder.hf_config", {
            "model_type": "vit", "num_hidden_layers": 100_000, "image_size": 32,
            "image_mean": [0.5], "image_std": [0.5]})},
        "num_hidden_layers of pretrain is 100000",
    ),
    "a width": (
        {"config": set_value("diffvqa.model.language_model.width", 1 << 20)},
        r"the model needs F32 or F16 or BF16 \(.*1048576",
    ),
    "an image size": (
        {"config": set_value("diffvqa.model.encoder.image_size", 1 << 19)},
        "the model needs F32 or F16 or BF16",
    ),
    "beams": ({"config": set_value("diffvqa.generation.num_beams", 1e9)}, "equal to 256"),
    "answer tokens": (
        {"config": set_value("diffvqa.generation.max_new_tokens", 10**12)}, "equal to 4096",
    ),
    "a length penalty": (
        {"config": set_value("diffvqa.generation.length_penalty", float("inf"))}, "equal to 10",
    ),
    "a missing key": ({"config": lambda values: values.pop("facts")}, "facts: required"),
    "token ids": (
        {"config": set_value("vocabulary.pretrain", [*range(256), 50256, 70000])},
        "less than 50257",
    ),
    "a stage": (
        {"config": lambda v: v.update(pretrain=v["diffvqa"])}, "pretrain holds a run of stage",
    ),
    "an unknown tensor": (
        {"weights": set_tensor("backdoor", lambda _: torch.zeros(3))}, "unknown backdoor",
    ),
    "a missing tensor": ({"weights": lambda tensors: tensors.pop(FIRST)}, f"missing {FIRST}"),
    "int8": ({"weights": set_tensor(FIRST, lambda t: t.to(torch.int8))}, f"{FIRST} is I8"),
    "float8": (
        {"weights": set_tensor(FIRST, lambda t: t.to(torch.float8_e4m3fn))}, f"{FIRST} is F8",
    ),
    "complex": (
        {"weights": set_tensor(FIRST, lambda t: t.to(torch.complex64))}, f"{FIRST} is C64",
    ),
    "another shape": ({"weights": set_tensor(FIRST, lambda t: t[:-1].clone())}, f"{FIRST} is F16"),
    "nan": ({"weights": set_tensor(FIRST, put(math.nan))}, f"{FIRST}' holds NaN or infinite"),
    "infinity": ({"weights": set_tensor(FIRST, put(-math.inf))}, f"{FIRST}' holds NaN or infinite"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_folder_is_refused_before_its_size_is_allocated(name, small, tmp_path):
    changes, message = HOSTILE[name]
    folder = change_folder(small, tmp_path / "model", **changes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=message):
        load(folder, device="cpu")
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert kilobytes < 100_000


def test_deep_json_is_refused(small, tmp_path):
    shutil.copytree(small, tmp_path / "model")
    (tmp_path / "model" / CONFIG).write_text("[" * 200_000, "utf-8")
    with pytest.raises(ValueError, match=r"config\.json is damaged: .* nested too deeply"):
        load(tmp_path / "model")


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_link_out_of_the_folder_is_refused(name, small, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(small, folder)
    (folder / name).rename(tmp_path / "outside")
    (folder / name).symlink_to(tmp_path / "outside")
    with pytest.raises(ValueError, match=f"{name} is a link to .*outside, outside of its folder"):
        load(folder)


def test_the_links_of_the_hub_cache_are_read(small, tmp_path):
    folder = tmp_path / "models--org--name" / "snapshots" / ("a" * 40)
    blobs = tmp_path / "models--org--name" / "blobs"
    folder.mkdir(parents=True)
    blobs.mkdir()
    for name in (CONFIG, WEIGHTS):
        shutil.copy(small / name, blobs / name)
        (folder / name).symlink_to(Path("../../blobs") / name)
    assert load(folder, device="cpu").image_size == tiny_runs.SIDE
    (blobs / CONFIG).rename(tmp_path / CONFIG)
    (folder / CONFIG).unlink()
    (folder / CONFIG).symlink_to(Path("../../../") / CONFIG)
    with pytest.raises(ValueError, match="outside of its folder"):
        load(folder)


def test_a_pinned_id_has_one_spelling(monkeypatch):
    """`from_pretrained` of the hub's mixin would ask the hub first."""
    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", None)
    for source in ("org/name", "org/name@main"):
        for open_model in (Lapse.from_pretrained, load):
            with pytest.raises(ValueError, match=r"pinned revision \(org/name@<40 hex"):
                open_model(source)
    with pytest.raises(TypeError, match="revision"):
        Lapse.from_pretrained("org/name", revision=40 * "a")


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values["diffvqa"].update(model_type="evilmod:Thing"),
        lambda values: values["pretrain"].update(model_type="evilmod:Thing"),
        lambda values: values["pretrain"]["data"].update(tasks=["evilmod:Thing"]),
        lambda values: values["pretrain"]["data"].update(require_tasks=["evilmod:Thing"]),
    ],
    ids=["vqa system", "pretraining method", "task", "required task"],
)
def test_a_folder_that_names_code_is_refused_before_any_import(change, tmp_path, monkeypatch):
    module = "from pydantic import BaseModel as config_class\nclass Thing: pass\n"
    (tmp_path / "evilmod.py").write_text(module, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    folder = copy_model(tmp_path / "model", change)
    with pytest.raises(ValueError, match="'evilmod:Thing' is not a registered name"):
        read_exported_model(folder)
    assert "evilmod" not in sys.modules


@pytest.mark.parametrize(("version", "fix"), [(1, "use lapse 0.1.0"), (4, "use the version of")])
def test_another_model_format_is_refused_with_the_fix(version, fix, tmp_path):
    folder = copy_model(tmp_path / "model", lambda values: values.update(format=version))
    with pytest.raises(ValueError, match=f"has model format {version}, .* reads format 3: {fix}"):
        read_exported_model(folder)


def test_a_damaged_file_is_refused(tmp_path):
    folder = copy_model(tmp_path / "model", lambda values: values.update(sha256=64 * "0"))
    with pytest.raises(ValueError, match=r"SHA-256 .*, config.json says 0{12}\.\.\.: damaged"):
        read_exported_model(folder)
