"""A simulation that was cut goes on: same bytes, nothing finished is drawn again."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lapse.phantom.dataset import resume_blocks as blocks
from lapse.phantom.dataset.writer import SimulateConfig, simulate

OPTIONS = {"patients": 8, "seed": 4, "size": 64, "visits": (2, 2)}
OPTIONS |= {"tier": "mixed", "counterfactual_fraction": 1.0, "ood_fraction": 0.0}
CONFIG = SimulateConfig(**OPTIONS)


class CutError(Exception):
    """The run is cut here."""


def sha(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    out = tmp_path_factory.mktemp("straight") / "raw"
    simulate(out, CONFIG)
    return sha(out)


def cut(out: Path, after: int, config: SimulateConfig = CONFIG) -> None:
    """Simulate until so many patients are done."""

    def stop(done: int, total: int) -> None:
        if done == after:
            raise CutError

    with pytest.raises(CutError):
        simulate(out, config, stop)
    assert not (out / "SIMULATED.txt").exists()


@pytest.mark.parametrize("after", [1, 5, 8])
def test_a_cut_run_goes_on_and_draws_only_what_is_missing(tmp_path, straight, monkeypatch, after):
    cut(tmp_path, after)
    drawn = []
    write_patient = blocks.write_patient

    def counted(out, config, patient, role):
        drawn.append(patient)
        return write_patient(out, config, patient, role)

    monkeypatch.setattr(blocks, "write_patient", counted)
    calls = []
    report = simulate(tmp_path, CONFIG, lambda done, total: calls.append((done, total)))
    assert drawn == list(range(after, 8))
    assert calls == [(done, 8) for done in range(after + 1, 9)]
    assert report.num_patients == 8 and sha(tmp_path) == straight


def test_without_the_block_files_everything_is_drawn_again(tmp_path, straight, monkeypatch):
    """Sabotage twin: the guard that keeps finished blocks is removed."""
    cut(tmp_path, 5)
    for path in (tmp_path / blocks.FOLDER).glob("*.jsonl"):
        path.unlink()
    drawn = []
    write_patient = blocks.write_patient

    def counted(out, config, patient, role):
        drawn.append(patient)
        return write_patient(out, config, patient, role)

    monkeypatch.setattr(blocks, "write_patient", counted)
    simulate(tmp_path, CONFIG)
    assert drawn == list(range(8)) and sha(tmp_path) == straight


def test_a_killed_process_leaves_a_run_that_ends_with_the_same_bytes(tmp_path, straight):
    code = (
        "from pathlib import Path\n"
        "from lapse.phantom.dataset.writer import SimulateConfig, simulate\n"
        f"simulate(Path({str(tmp_path / 'raw')!r}), SimulateConfig(**{OPTIONS!r}))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    folder = tmp_path / "raw" / blocks.FOLDER
    for _ in range(3000):
        if child.poll() is not None or len(list(folder.glob("0*.jsonl"))) >= 2:
            break
        time.sleep(0.01)
    assert child.poll() is None, "the run ended before it could be killed"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    num_done = len(list(folder.glob("0*.jsonl")))
    assert 2 <= num_done <= 8
    simulate(tmp_path / "raw", CONFIG)
    print(f"killed after {num_done} of 8 blocks, same bytes")
    assert sha(tmp_path / "raw") == straight


def test_a_cut_last_step_is_cleaned_up(tmp_path, straight):
    cut(tmp_path, 8)
    (tmp_path / blocks._REMOVED).mkdir()
    simulate(tmp_path, CONFIG)
    assert sha(tmp_path) == straight


def test_another_setting_is_refused_and_another_number_of_processes_is_not(tmp_path, straight):
    cut(tmp_path, 2)
    with pytest.raises(ValueError, match=r"an interrupted simulation with nuisance 1\.0, not 0\.5"):
        simulate(tmp_path, SimulateConfig(**OPTIONS, nuisance=0.5))
    simulate(tmp_path, SimulateConfig(**OPTIONS, processes=2))
    assert sha(tmp_path) == straight


def test_blocks_grow_with_the_tree():
    assert [blocks.block_size(n) for n in (1, 48, 160, 4000, 65_000)] == [1, 1, 2, 16, 16]
