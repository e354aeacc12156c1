"""Cached features: equal training, resumable, one folder per encoder, damage is found."""

import json
import logging
import shutil

import pytest
import torch

import tiny_store
from lapse.core.registry import load, names
from lapse.data.loading.training_data import read_training_data
from lapse.data.store.store import open_store
from lapse.training.distributed import DistributedContext
from lapse.training.feature_cache import BLOCK, build_feature_cache, compute_dtype
from lapse.training.run_folder import build_model
from lapse.training.trainer import train
from rank_trials import config

ALONE = DistributedContext(0, 1, torch.device("cpu"))


@pytest.fixture
def data(tmp_path):
    return tiny_store.write(tmp_path / "store", num_patients=42)  # 84 images, two blocks


def open_run(data, **changes):
    run_config = config("diffvqa", data__cache_features="fp32", **changes)
    store = open_store(data)
    training_data = read_training_data(store, run_config)
    model = build_model(run_config, training_data.tokenizer).eval()
    return run_config, store, training_data, model


def log(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]


def test_training_on_cached_features_equals_training_on_images(data, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    for name in ("none", "fp32", "bf16"):
        run_config = config("diffvqa", data__cache_features=name)
        train(run_config, data, tmp_path / name)
    computed = [line for line in caplog.messages if "0 of 2 blocks existed, 2 computed" in line]
    assert len(computed) == 2
    for left, right in zip(log(tmp_path / "none"), log(tmp_path / "fp32"), strict=True):
        assert left == pytest.approx(right, rel=1e-5, abs=1e-5)
    for left, right in zip(log(tmp_path / "none"), log(tmp_path / "bf16"), strict=True):
        assert left == pytest.approx(right, rel=0.02, abs=0.02)


def test_the_image_gap_uses_the_other_patients_features(data, tmp_path):
    train(config("diffvqa", data__cache_features="fp32"), data, tmp_path / "run")
    assert log(tmp_path / "run")[-1]["image_gap/diff_vqa"] != 0.0


def test_a_lost_block_is_computed_again(data, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    run_config, store, training_data, model = open_run(data)
    features = build_feature_cache(model, store, training_data, run_config, ALONE)
    key = training_data.stream.dataset.records[0].main.image
    before = features.tokens(key)
    assert torch.allclose(before, model.encode(pixels(store, key))[0], atol=1e-5)
    (features.folder / "block-00001.json").unlink()  # as after a kill between the two files
    again = build_feature_cache(model, store, training_data, run_config, ALONE)
    assert any("1 of 2 blocks existed, 1 computed" in line for line in caplog.messages)
    assert torch.equal(again.tokens(key), before)


def pixels(store, key):
    return torch.from_numpy(store.pixels(key).copy())[None, None]


def test_another_encoder_or_store_or_precision_is_another_folder(data, tmp_path):
    folders = set()
    run_config, store, training_data, model = open_run(data)
    folders.add(build_feature_cache(model, store, training_data, run_config, ALONE).folder)
    with torch.no_grad():
        model.encoder.norm.bias[0] += 1e-3
    folders.add(build_feature_cache(model, store, training_data, run_config, ALONE).folder)
    half = config("diffvqa", data__cache_features="bf16")
    folders.add(build_feature_cache(model, store, training_data, half, ALONE).folder)
    fast = config("diffvqa", data__cache_features="fp32", train__precision="bf16")
    folders.add(build_feature_cache(model, store, training_data, fast, ALONE).folder)
    shutil.rmtree(data)
    other = open_run(tiny_store.write(data, num_patients=43))
    folders.add(build_feature_cache(model, other[1], other[2], run_config, ALONE).folder)
    assert len(folders) == 5


def test_a_flipped_bit_is_refused(data):
    run_config, store, training_data, model = open_run(data)
    features = build_feature_cache(model, store, training_data, run_config, ALONE)
    key = store.studies[3].image
    intact = features.tokens(key)
    path = features.folder / "block-00000.npy"
    raw = bytearray(path.read_bytes())
    raw[-(BLOCK - 3) * intact.numel() * 4 + 5] ^= 1  # in image 3 of 64
    path.write_bytes(raw)
    fresh = build_feature_cache(model, store, training_data, run_config, ALONE)
    with pytest.raises(ValueError, match=r"image 'image-003' in .* are damaged"):
        fresh.tokens(key)
    assert fresh.tokens(store.studies[4].image).shape == intact.shape


def test_without_the_checksum_a_flipped_bit_would_be_read(data, monkeypatch):
    run_config, store, training_data, model = open_run(data)
    features = build_feature_cache(model, store, training_data, run_config, ALONE)
    path = features.folder / "block-00000.npy"
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(raw)
    key = store.studies[BLOCK - 1].image
    monkeypatch.setattr(
        "lapse.training.feature_cache.zlib.crc32", lambda _: features._block(0)[1][BLOCK - 1]
    )
    assert not torch.equal(features.tokens(key), model.encode(pixels(store, key))[0])


def test_a_trained_encoder_and_a_method_without_one_are_refused(data):
    run_config, store, training_data, model = open_run(data, model__train_encoder=True)
    with pytest.raises(ValueError, match="needs a frozen encoder, and this one is trained"):
        build_feature_cache(model, store, training_data, run_config, ALONE)
    first = config("pretrain", data__cache_features="fp32")
    with pytest.raises(ValueError, match="'captioner' has no frozen encoder"):
        build_feature_cache(torch.nn.Linear(1, 1), store, training_data, first, ALONE)


def test_compute_dtype_is_that_of_autocast():
    assert compute_dtype(ALONE.device, "bf16") == torch.bfloat16
    assert compute_dtype(ALONE.device, "auto") == torch.float32


def test_a_system_that_reads_no_cached_tokens_is_refused(data):
    """Nothing is computed for a system that would never read it."""
    run_config, store, training_data, model = open_run(data)
    model.reads_features = False
    with pytest.raises(ValueError, match="reads its images in every step and no cached tokens"):
        build_feature_cache(model, store, training_data, run_config, ALONE)


@pytest.mark.parametrize("name", sorted(set(names("vqa")) - {"blind"}))
def test_every_system_with_an_encoder_reads_cached_tokens(name):
    assert load("vqa", name).reads_features
