"""Checksums find every changed byte of a store; `lapse verify STORE` lists what differs."""

import numpy as np
import pytest
from typer.testing import CliRunner

import tiny_store
from lapse.cli.main import app
from lapse.data.store import checksums
from lapse.data.store.checksums import CHECKSUMS, PixelChecker, read_checksums, store_damage
from lapse.data.store.info import PAIRS, PIXELS, STUDIES
from lapse.data.store.store import open_store


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store of 24 images in blocks of 5."""
    monkeypatch.setattr(checksums, "BLOCK", 5)
    return tiny_store.write(tmp_path / "store")


def flip(path, position, bit=0):
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def test_a_new_store_has_no_damage(store):
    calls = []
    opened = open_store(store)
    assert [
        *store_damage(store, opened.pixel_file, lambda *call: calls.append(call))
    ] == [] and calls[-1] == (7, 7)
    sums = read_checksums(store)
    assert (sums.block, len(sums.pixels), set(sums.files)) == (5, 5, {STUDIES, PAIRS})


def test_every_flipped_bit_of_the_pixels_is_found_in_its_block(store):
    draw = np.random.default_rng(0)
    start = (store / PIXELS).stat().st_size - 24 * tiny_store.SIDE**2
    for position in draw.integers(24 * tiny_store.SIDE**2, size=50):
        flip(store / PIXELS, start + position)
        checker = PixelChecker(store, open_store(store).pixel_file)
        differing = [index for index in range(len(checker)) if checker.check(index)]
        assert differing == [position // tiny_store.SIDE**2 // 5]
        flip(store / PIXELS, start + position)


def test_the_command_lists_what_differs(store):
    run = CliRunner().invoke
    done = run(app, ["verify", str(store)])
    assert done.exit_code == 0 and "0 of 5 blocks of 5 images and 2 files differ" in done.stdout
    flip(store / PIXELS, (store / PIXELS).stat().st_size - 1)
    flip(store / STUDIES, 40)
    done = run(app, ["verify", str(store)])
    assert done.exit_code == 1
    assert "SHA-256 of images 20 to 23 differs" in done.stdout
    assert "studies.parquet has changed since prepare wrote it" in done.stdout
    assert run(app, ["verify", str(store), "--check-pixels"]).exit_code != 0


def test_missing_and_damaged_sums(store):
    path = store / CHECKSUMS
    text = path.read_text("utf-8")
    for damaged, message in (
        ("[", r"checksums\.json is damaged"),
        ("{}", "lacks block, pixels or files"),
        (text.replace('"block": 5', '"block": 9'), "5 sums of pixels and the store has 3 blocks"),
    ):
        path.write_text(damaged, "utf-8")
        with pytest.raises(ValueError, match=message):
            PixelChecker(store, open_store(store).pixel_file)
    path.unlink()
    assert PixelChecker(store, open_store(store).pixel_file).checksums is None
