"""The input check and the guard of a model folder are validated like its weights."""

import json
import shutil

import numpy as np
import pytest

import tiny_runs
import tiny_store
from lapse.core.files import sha256_of
from lapse.inference.pretrained import DEFAULT, Lapse
from lapse.inference.pretrained.export import from_runs, read_folder
from lapse.inference.pretrained.fit_guards import FitOptions, fit_guards
from lapse.training.exported_model import CHECK, CONFIG


@pytest.fixture
def folder(tmp_path):
    """A copy of the packaged model."""
    return shutil.copytree(DEFAULT, tmp_path / "model")


def change(folder, **parts):
    """Replace keys of "input_check" and "guard" in config.json; None removes a part."""
    values = json.loads((folder / CONFIG).read_text("utf-8"))
    for name, new in parts.items():
        if new is None:
            del values[name]
        else:
            values[name] |= new
    (folder / CONFIG).write_text(json.dumps(values), "utf-8")


def test_every_flipped_bit_of_the_check_is_refused(folder):
    original = (folder / CHECK).read_bytes()
    draw = np.random.default_rng(2)
    for position in draw.integers(0, len(original), 3):
        damaged = bytearray(original)
        damaged[position] ^= 1 << int(draw.integers(8))
        (folder / CHECK).write_bytes(damaged)
        with pytest.raises(ValueError, match=r"input_check\.safetensors is not the file"):
            read_folder(folder)
    (folder / CHECK).write_bytes(original)
    assert read_folder(folder).pixel_check is not None


def test_only_the_digest_detects_a_flipped_bit_of_the_check(folder):
    damaged = bytearray((folder / CHECK).read_bytes())
    damaged[-1] ^= 1
    (folder / CHECK).write_bytes(damaged)
    change(folder, input_check={"sha256": sha256_of(folder / CHECK)})
    assert read_folder(folder).pixel_check is not None


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"input_check": {"weights": "0" * 64}}, "input_check was fitted to other weights"),
        ({"guard": {"weights": "0" * 64}}, "guard was fitted to other weights"),
        ({"guard": {"threshold": 7.0}}, "outside"),
        ({"calibration": {"weights": "0" * 64}}, "calibration was fitted to other weights"),
        ({"calibration": {"slope": -1.0}}, "not a positive"),
        ({"calibration": {"unknown": 1}}, "lacks or adds unknown"),
        ({"guard": {"unknown": 1}}, "lacks or adds unknown"),
        ({"input_check": {"format": 2}}, "has format 2"),
        ({"input_check": {"warn": 99.0}}, "the first limit the lower one"),
    ],
)
def test_parts_that_do_not_fit_are_refused(folder, parts, message):
    change(folder, **parts)
    with pytest.raises(ValueError, match=message):
        read_folder(folder)


def test_a_missing_check_is_refused_and_a_model_without_one_is_not(folder):
    (folder / CHECK).unlink()
    with pytest.raises(ValueError, match="copy the complete folder"):
        read_folder(folder)
    change(folder, input_check=None, guard=None, calibration=None)
    parts = read_folder(folder)
    assert parts.pixel_check is None and parts.guard is None and parts.calibration is None


def test_another_image_size_is_an_error_before_anything_is_fitted(tmp_path):
    parts = from_runs(*tiny_runs.write(tmp_path))
    store = tiny_store.write(tmp_path / "store")
    with pytest.raises(ValueError, match="films cannot fit an input check"):
        fit_guards(parts, FitOptions(store))
    packaged = read_folder(DEFAULT)
    with pytest.raises(ValueError, match="the model reads 128 px, squash"):
        fit_guards(packaged, FitOptions(store))
    Lapse(packaged).save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / CHECK).read_bytes() == (DEFAULT / CHECK).read_bytes()
    assert read_folder(tmp_path / "again").calibration == packaged.calibration is not None
