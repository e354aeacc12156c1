"""The commands of the documentation for clusters give the store of a single run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import wide_tree
from file_hashes import file_hashes

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "prepare-data.md"
TASKS = 16
NUM_STUDIES = 1100  # two shards


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return wide_tree.write_wide_tree(tmp_path_factory.mktemp("tree"), NUM_STUDIES)


def for_tree(command, tree):
    """A command of the page, for a small tree."""
    return (
        command.replace("lapse prepare", f"{sys.executable} -m lapse prepare")
        .replace("physionet.org/files", str(tree))
        .replace("--size 448", "--size 16 --priors none")
    )


def commands(tree):
    """The script of a task, the command of the merge, and that of a local Dask cluster."""
    text = PAGE.read_text(encoding="utf-8")
    script = re.search(r"```sh\n(#!/bin/bash\n#SBATCH.*?)```", text, re.DOTALL).group(1)
    merge = re.search(r'--wrap "(.*?)"', text).group(1)
    dask = re.search(r"^lapse prepare .* --dask local .*$", text, re.MULTILINE).group()
    assert f"--array=1-{TASKS} " in script and f"/{TASKS}" in script
    return [for_tree(command, tree) for command in (script, merge, dask)]


@pytest.fixture(scope="module")
def single(tree, tmp_path_factory):
    """The files of the store of a single run."""
    folder = tmp_path_factory.mktemp("single")
    subprocess.run(["bash", "-ec", commands(tree)[1]], cwd=folder, check=True)
    return file_hashes(folder / "store448")


def test_an_array_job_makes_the_store_of_a_single_run(tree, single, tmp_path):
    script, merge, _ = commands(tree)
    # the two tasks that have a shard, at the same time
    running = [
        subprocess.Popen(
            ["bash", "-ec", script],
            cwd=tmp_path,
            env={**os.environ, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_CPUS_PER_TASK": "1"},
        )
        for task in (1, 2)
    ]
    assert [process.wait() for process in running] == [0, 0]
    assert not (tmp_path / "store448").exists()
    assert len(list((tmp_path / "store448.shards").glob("*.npy"))) == 2
    subprocess.run(["bash", "-ec", merge], cwd=tmp_path, check=True)
    assert file_hashes(tmp_path / "store448") == single


def test_two_local_dask_workers_make_the_store_of_a_single_run(tree, single, tmp_path):
    pytest.importorskip("distributed")
    command = commands(tree)[2]
    assert "--workers 2" in command
    done = subprocess.run(["bash", "-ec", command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "shards   2 of 2 made by this run" in done.stderr and "warning" not in done.stderr
    assert file_hashes(tmp_path / "store448") == single
