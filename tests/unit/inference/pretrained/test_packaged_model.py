"""The model that is part of the package: valid, small, and usable without a name."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import lapse
from lapse.cli.main import app
from lapse.core.grammar import parse
from lapse.inference.answer import RESEARCH_USE
from lapse.inference.pretrained import DEFAULT
from lapse.inference.pretrained.export import read_folder
from lapse.training.exported_model import CARD, CONFIG, WEIGHTS

MEGABYTES = 25


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two PNG files of smooth grey values, which the model accepts like radiographs."""
    folder = tmp_path_factory.mktemp("pair")
    rows, columns = np.mgrid[0:160, 0:160] / 160
    files = []
    for name, shift in (("reference", 0.0), ("main", 0.3)):
        image = 128 + 90 * np.sin(3 * rows + shift) * np.cos(4 * columns)
        Image.fromarray(image.astype(np.uint8)).save(folder / f"{name}.png")
        files.append(folder / f"{name}.png")
    return tuple(files)


def test_the_folder_is_valid_and_small():
    sizes = {path.name: path.stat().st_size for path in DEFAULT.iterdir()}
    assert sizes.keys() == {CONFIG, WEIGHTS, CARD}
    assert sum(sizes.values()) <= MEGABYTES * 1e6
    parts = read_folder(DEFAULT)  # compares the SHA-256
    assert all(np.isfinite(p.numpy()).all() for p in parts.captioner.parameters())
    assert RESEARCH_USE in (DEFAULT / CARD).read_text("utf-8")


def test_the_default_model_answers_a_pair(pair):
    model = lapse.load(device="cpu")
    comparison = model.compare(*pair)
    assert parse(comparison.text).is_parsed, comparison.text
    assert 0.0 < comparison.confidence["answer"] <= 1.0
    assert comparison.lines()[-1] == comparison.notice == RESEARCH_USE
    (region,) = model.region(pair[1], ["cardiac silhouette"])
    assert region.box is not None and region.phrases


def test_the_command_needs_no_model_argument(pair):
    words = ["answer", "--reference", str(pair[0]), "--main", str(pair[1])]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == RESEARCH_USE


def test_the_wheel_contains_the_model():
    """hatchling packs all files below src/lapse that git does not ignore."""
    root = Path(__file__).parents[4]
    files = [str(DEFAULT / name) for name in (CONFIG, WEIGHTS, CARD)]
    done = subprocess.run(
        ["git", "-C", str(root), "check-ignore", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
