"""Checkpoints are complete or refused: flips, cuts, foreign files, a full disk."""

import random
import resource
import shutil

import pytest
import torch

from lapse.training import checkpoint
from lapse.training.checkpoint import (
    MANIFEST,
    MODEL,
    latest_valid_checkpoint,
    prune_checkpoints,
    save_checkpoint,
    verify,
)
from lapse.training.weight_files import load_weights
from tied_model import Tied


def save(run, step, seed=0, keep=2):
    optimizer = {"exp_avg/encoder.weight": torch.full((4, 3), float(step))}
    folder = save_checkpoint(run, step, Tied(seed), optimizer, {"metrics_bytes": step * 10})
    prune_checkpoints(run, step, keep)
    return folder


def test_state_and_optimizer_are_read_again(tmp_path):
    save(tmp_path, 4)
    checkpoint = latest_valid_checkpoint(tmp_path).checkpoint
    assert (checkpoint.step, checkpoint.state["metrics_bytes"]) == (4, 40)
    assert torch.equal(checkpoint.optimizer()["exp_avg/encoder.weight"], torch.full((4, 3), 4.0))


def test_only_the_newest_are_kept_and_temporary_folders_are_not_read(tmp_path):
    for step in (1, 2, 3, 10):
        save(tmp_path, step)
    temporary = tmp_path / "checkpoints" / "step-00000011.tmp"
    shutil.copytree(tmp_path / "checkpoints" / "step-00000010", temporary)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-00000003", "step-00000010", "step-00000011.tmp"]
    assert latest_valid_checkpoint(tmp_path).checkpoint.step == 10
    assert latest_valid_checkpoint(tmp_path / "nowhere").checkpoint is None


def test_every_flipped_bit_is_refused(tmp_path, promise):
    folder = save(tmp_path, 1)
    assert verify(folder) is None
    chance = random.Random(5)
    refused = 0
    for trial in range(120):
        path = sorted(folder.iterdir())[trial % 4]
        whole = path.read_bytes()
        raw = bytearray(whole)
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        path.write_bytes(raw)
        refused += verify(folder) is not None
        path.write_bytes(whole)
    promise(9, refused, 120)
    assert verify(folder) is None


def test_only_the_manifest_finds_a_flipped_bit_in_the_weights(tmp_path, promise):
    """Without the manifest the same flip loads and gives other weights."""
    folder = save(tmp_path, 1)
    raw = bytearray((folder / MODEL).read_bytes())
    raw[-1] ^= 1
    (folder / MODEL).write_bytes(raw)
    model = Tied(0)
    load_weights(folder / MODEL, model)
    is_changed = any(
        not torch.equal(tensor, Tied(0).state_dict()[name])
        for name, tensor in model.state_dict().items()
    )
    promise(9, int(verify(folder) is not None), 1, int(is_changed), 1)
    assert verify(folder) == f"{MODEL} does not match its SHA-256"


@pytest.mark.parametrize("damage", ["cut", "missing", "added", "renamed"])
def test_the_newest_valid_one_is_used_and_damaged_ones_are_named(tmp_path, damage):
    save(tmp_path, 1)
    folder = save(tmp_path, 2)
    if damage == "cut":
        (folder / MODEL).write_bytes((folder / MODEL).read_bytes()[:-7])
    elif damage == "missing":
        (folder / MANIFEST).unlink()
    elif damage == "added":
        (folder / "extra.pkl").write_bytes(b"x")
    else:
        folder.rename(folder.with_name("step-00000009"))
    search = latest_valid_checkpoint(tmp_path)
    assert search.checkpoint.step == 1
    assert len(search.skipped) == 1 and search.skipped[0].startswith("step-0000000")
    save(tmp_path, 3, keep=1)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000003"]


def is_intact_after_full_disk(run, step, limit):
    """Whether the checkpoint of step 1 is the result when no file may exceed `limit` bytes."""
    before = (run / "checkpoints" / "step-00000001" / MANIFEST).read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(ValueError, match=r"needs \d+ bytes.*before it is intact"):
            save(run, step, seed=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    newest = latest_valid_checkpoint(run).checkpoint
    is_same = newest is not None and (newest.folder / MANIFEST).read_bytes() == before
    return is_same and [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000001"]


def test_a_full_disk_does_not_touch_the_checkpoint_before(tmp_path, promise, monkeypatch):
    """Also not the checkpoint of the same step; without a temporary folder that one is lost."""
    run, copies = tmp_path / "run", tmp_path / "copies"
    largest = max(path.stat().st_size for path in save(run, 1).iterdir())
    limits = [largest * number // 30 for number in range(30)]  # bytes a file may have
    kept = sum(is_intact_after_full_disk(run, step, limit) for step in (1, 2) for limit in limits)
    for limit in limits:
        shutil.copytree(run, copies / str(limit))
    save(run, 2)
    assert latest_valid_checkpoint(run).checkpoint.step == 2
    monkeypatch.setattr(checkpoint, "TEMPORARY", "")
    broken = sum(not is_intact_after_full_disk(copies / str(limit), 1, limit) for limit in limits)
    promise(10, kept, 60, broken, 30)


def test_too_little_free_space_is_an_error_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ValueError, match=r"needs \d+ bytes.*1000 are free"):
        save(tmp_path, 1)
    assert list((tmp_path / "checkpoints").iterdir()) == []
