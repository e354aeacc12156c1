"""Ranks: equal losses, equal checkpoints, the same samples however many there are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lapse.training.distributed import first_node, slurm_environment

HERE = Path(__file__).parents[1] / "support"


def trials(mode: str, folder: Path) -> dict:
    import lapse

    path = os.pathsep.join([str(Path(lapse.__file__).parents[1]), str(HERE)])
    done = subprocess.run(
        [sys.executable, str(HERE / "rank_trials.py"), mode, str(folder)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def distance(one: list[float], two: list[float]) -> float:
    """Norm of the difference over the norm."""
    square = sum((a - b) ** 2 for a, b in zip(one, two, strict=True))
    return (square / sum(a * a for a in one)) ** 0.5


def check_equal(found: dict) -> None:
    assert found["codes"] == {"one": [0], "ddp": [0, 0], "fsdp": [0, 0]}
    one = found["one"]
    for kind in ("ddp", "fsdp"):
        other = found[kind]
        assert other["layout"] == one["layout"] and other["moments"] == one["moments"]
        # Adam divides a gradient by its size, so where that is rounding noise a weight may differ.
        assert distance(one["weights"], other["weights"]) < 1e-4
        for left, right in zip(one["log"], other["log"], strict=True):
            assert left == pytest.approx(right, rel=1e-5, abs=1e-5)
    assert one["log"][0]["validate/loss"] != one["log"][-1]["validate/loss"]


def test_two_ranks_of_stage_two_lose_what_one_process_loses(tmp_path):
    check_equal(trials("diffvqa", tmp_path))


@pytest.mark.slow
def test_two_ranks_of_stage_one_lose_what_one_process_loses(tmp_path):
    found = trials("pretrain", tmp_path)
    check_equal(found)
    assert distance(found["one"]["weights"], found["apart"]["weights"]) > 1e-2


@pytest.mark.slow
def test_from_two_ranks_to_one_and_back_the_samples_are_the_same(tmp_path):
    found = trials("order", tmp_path)
    assert found["codes"] == [[0, 0], [9, 9], [9], [0, 0]]
    assert found["worlds"] == ["1", "2"]
    assert len(found["straight"]) == 6 and found["straight"] == found["mixed"]
    assert distance(*found["weights"]) < 1e-4


@pytest.mark.slow
def test_tasks_of_srun_find_each_other(tmp_path):
    assert trials("slurm", tmp_path) == {"codes": [0, 0], "ranks": 2}


def test_one_task_of_srun_is_a_process_alone():
    assert slurm_environment({}) is None
    assert slurm_environment({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) is None


def test_srun_names_the_place_of_a_task():
    given = {
        "SLURM_STEP_NUM_TASKS": "16",
        "SLURM_PROCID": "9",
        "SLURM_LOCALID": "1",
        "SLURM_STEP_NODELIST": "gpu[007-008]",
        "SLURM_JOB_ID": "4100123",
    }
    task = slurm_environment(given)
    assert task is not None
    assert (task.rank, task.world_size, task.local_rank, task.address) == (9, 16, 1, "gpu007:20123")
    del given["SLURM_LOCALID"]
    with pytest.raises(ValueError, match="16 tasks without SLURM_LOCALID"):
        slurm_environment(given)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu1", "gpu1"),
        ("a1,a2", "a1"),
        ("gpu[003-005,9],login1", "gpu003"),
        ("r[2,4]n1", "r2n1"),
    ],
)
def test_the_first_node_of_a_list(nodes, first):
    assert first_node(nodes) == first
