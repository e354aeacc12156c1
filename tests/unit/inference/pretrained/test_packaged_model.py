"""The model in the box: it is there, opens, answers, and is small enough to be one."""

import os
import subprocess
import sys
import time
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
from lapse.phantom.dataset.truth import read_states, rerender
from lapse.phantom.dataset.writer import SimulateConfig, simulate
from lapse.training.exported_model import CARD, CONFIG, WEIGHTS

MEGABYTES = 25
SECONDS = 3.0  # of processor time; docs/explanation/results.md has the wall-clock time


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two PNG files of one simulated patient."""
    folder = tmp_path_factory.mktemp("pair")
    simulate(folder / "raw", SimulateConfig(patients=1, seed=7, size=160, visits=(2, 2)))
    files = []
    for name, state in zip(("reference", "main"), read_states(folder / "raw"), strict=True):
        Image.fromarray(rerender(state)).save(folder / f"{name}.png")
        files.append(folder / f"{name}.png")
    return tuple(files)


def test_it_is_whole_and_small():
    sizes = {path.name: path.stat().st_size for path in DEFAULT.iterdir()}
    print(f"model in the box: {sum(sizes.values()) / 1e6:.1f} MB, {sizes}")
    assert sizes.keys() == {CONFIG, WEIGHTS, CARD}
    assert sum(sizes.values()) <= MEGABYTES * 1e6
    parts = read_folder(DEFAULT)  # compares the SHA-256
    assert all(np.isfinite(p.numpy()).all() for p in parts.captioner.parameters())
    assert RESEARCH_USE in (DEFAULT / CARD).read_text("utf-8")


def test_it_opens_without_a_name_and_answers_a_phantom_pair(pair):
    model = lapse.load(device="cpu")
    said = model.compare(*pair)
    assert parse(said.text).is_parsed, said.text
    assert 0.0 < said.confidence["answer"] <= 1.0
    assert said.lines()[-1] == said.notice == RESEARCH_USE
    (region,) = model.region(pair[1], ["cardiac silhouette"])
    assert region.box is not None and region.phrases


def test_the_command_needs_no_run(pair):
    words = ["answer", "--reference", str(pair[0]), "--main", str(pair[1])]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == RESEARCH_USE


def test_an_answer_costs_less_than_three_seconds(pair):
    """Imports, reading the model and answering: processor time of the cheapest of three calls.

    Tests share their machine, and a busy neighbour makes the same work dearer.
    """
    words = ["answer", "--reference", str(pair[0]), "--main", str(pair[1])]
    costs = []
    for _ in range(3):
        started, before = time.perf_counter(), os.times()
        done = subprocess.run(
            [sys.executable, "-m", "lapse", *words], capture_output=True, text=True, check=True
        )
        after, waited = os.times(), time.perf_counter() - started
        costs.append(sum(after[2:4]) - sum(before[2:4]))
        print(f"answer: {costs[-1]:.2f} s of processor time, {waited:.2f} s waited")
        assert done.stdout.splitlines()[-1] == RESEARCH_USE
        if costs[-1] < SECONDS:
            break
    assert min(costs) < SECONDS


def test_the_wheel_would_carry_it():
    """hatchling packs what git does not ignore below src/lapse."""
    root = Path(__file__).parents[4]
    files = [str(DEFAULT / name) for name in (CONFIG, WEIGHTS, CARD)]
    done = subprocess.run(
        ["git", "-C", str(root), "check-ignore", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
