"""A run trains on the pixels that `prepare` wrote, or stops."""

import pytest

import tiny_model
import tiny_store
from lapse.data.store import checksums
from lapse.data.store.checksums import CHECKSUMS
from lapse.data.store.info import PIXELS
from lapse.data.store.store import open_store
from lapse.training import pixel_check
from lapse.training.dry_run import dry_run
from lapse.training.pixel_check import BackgroundPixelCheck, check_pixel_sample
from lapse.training.trainer import Callbacks, train

HEADER = 128  # bytes of an .npy header


def zero(path, first=HEADER, count=None):
    data = bytearray(path.read_bytes())
    stop = len(data) if count is None else first + count
    data[first:stop] = bytes(stop - first)
    path.write_bytes(data)


def test_zeroed_pixels_between_two_starts_are_refused(tmp_path):
    data = tiny_store.write(tmp_path / "store")

    def kill(step):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny_model.config(), data, tmp_path / "run", callbacks=Callbacks(on_step=kill))
    zero(data / PIXELS)
    for start in (train, dry_run):
        with pytest.raises(ValueError, match=r"pixels\.npy has changed since prepare wrote it"):
            start(tiny_model.config(), data, tmp_path / "run")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_block_outside_the_sample_stops_the_run_in_the_background(
    num_workers, tmp_path, monkeypatch
):
    monkeypatch.setattr(checksums, "BLOCK", 1)
    monkeypatch.setattr(pixel_check, "NUM_SAMPLED", 1)
    data = tiny_store.write(tmp_path / "store")
    config = tiny_model.config(train__num_workers=num_workers)
    store = open_store(data)
    sampled = []
    real = checksums.PixelChecker.check
    monkeypatch.setattr(
        checksums.PixelChecker,
        "check",
        lambda self, index: sampled.append(index) or real(self, index),
    )
    check_pixel_sample(store)
    assert {0, 23} <= set(sampled) and len(sampled) <= 3
    index = next(index for index in range(24) if index not in sampled)
    zero(data / PIXELS, HEADER + index * tiny_store.SIDE**2, 7)
    check_pixel_sample(open_store(data))  # does not see it
    with pytest.raises(ValueError, match=f"SHA-256 of images {index} to {index} differs"):
        train(config, data, tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "step-00000008"
    assert not last.exists()


def test_the_ranks_check_each_block_once(tmp_path, monkeypatch):
    monkeypatch.setattr(checksums, "BLOCK", 5)
    store = open_store(tiny_store.write(tmp_path / "store"))
    checked = []
    monkeypatch.setattr(checksums.PixelChecker, "check", lambda _, index: checked.append(index))
    for rank in range(3):
        check = BackgroundPixelCheck(store, rank, 3)
        check.start()
        check.finish()
        check.stop()
    assert sorted(checked) == [0, 1, 2, 3, 4]


def test_a_store_of_an_earlier_version_is_trained_with_a_warning(tmp_path, caplog):
    data = tiny_store.write(tmp_path / "store")
    (data / CHECKSUMS).unlink()
    train(tiny_model.config(train__steps=1), data, tmp_path / "run")
    assert "its pixels are not checked" in caplog.text
