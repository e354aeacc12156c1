"""Simulation over processes: equal bytes with workers, after a kill, and without compilation."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import lapse
from file_hashes import file_hashes
from lapse.phantom.dataset.resume_blocks import FOLDER
from lapse.phantom.dataset.writer import SimulateConfig, simulate

OPTIONS = {"patients": 8, "seed": 4, "size": 64, "visits": (2, 2), "images": "both"}


@pytest.fixture(scope="module")
def hashes(tmp_path_factory):
    """The files of an uninterrupted simulation in one process."""
    out = tmp_path_factory.mktemp("uninterrupted") / "raw"
    simulate(out, SimulateConfig(**OPTIONS))
    return file_hashes(out)


def test_bytes_do_not_depend_on_the_number_of_processes(tmp_path, hashes):
    simulate(tmp_path / "raw", SimulateConfig(**OPTIONS, processes=2))
    assert file_hashes(tmp_path / "raw") == hashes


def test_a_run_continues_with_another_number_of_processes(tmp_path, hashes):
    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "raw", SimulateConfig(**OPTIONS), interrupt)
    simulate(tmp_path / "raw", SimulateConfig(**OPTIONS, processes=2))
    assert file_hashes(tmp_path / "raw") == hashes


def test_a_killed_run_continues_with_equal_bytes(tmp_path, hashes):
    out = tmp_path / "raw"
    code = (
        "from pathlib import Path\n"
        "from lapse.phantom.dataset.writer import SimulateConfig, simulate\n"
        f"simulate(Path({str(out)!r}), SimulateConfig(**{OPTIONS!r}))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    for _ in range(3000):
        if child.poll() is not None or len(list((out / FOLDER).glob("0*.jsonl"))) >= 2:
            break
        time.sleep(0.01)
    assert child.poll() is None, "the run ended before it could be killed"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert 2 <= len(list((out / FOLDER).glob("0*.jsonl"))) <= 8
    simulate(out, SimulateConfig(**OPTIONS))
    assert file_hashes(out) == hashes


def test_rendering_without_numba_agrees_within_one_grey_level(tmp_path):
    script = """
import dataclasses, sys
import numpy as np
sys.path.insert(0, sys.argv[2])
from lapse.phantom.rendering.render import render
from lapse.phantom.patients.state import Finding
from exposures import exposures, visit_with
person, _, acquisition = next(exposures(41, 1))
person = dataclasses.replace(person, vessel_count=24)
visit = visit_with(Finding("edema", "bilateral", "", .6, "", 3),
                   Finding("pneumothorax", "left", "apical", .5, "", 4),
                   Finding("consolidation", "right", "lower", .5, "", 5))
np.save(sys.argv[1], render(person, visit, acquisition, 40).image)
"""
    images = []
    for disabled in ("0", "1"):
        target = tmp_path / f"{disabled}.npy"
        support = Path(__file__).parents[1] / "support"
        environment = {
            "NUMBA_DISABLE_JIT": disabled,
            "PYTHONPATH": str(Path(lapse.__file__).parents[1]),
            "PATH": "",
            "HOME": str(tmp_path),
        }
        done = subprocess.run(
            [sys.executable, "-c", script, str(target), str(support)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        images.append(np.load(target).astype(int))
    assert images[0].std() > 30
    assert np.abs(images[0] - images[1]).max() <= 1
