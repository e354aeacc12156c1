"""The array job of the documentation: tasks that run together and a merge give the usual store."""

import os
import re
import subprocess
import sys
from pathlib import Path

import wide_tree
from file_hashes import file_hashes

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "prepare-data.md"
TASKS = 16
NUM_STUDIES = 1028  # two shards


def commands(tree):
    """The script of a task and the command of the merge, for a small tree."""
    text = PAGE.read_text(encoding="utf-8")
    script = re.search(r"```sh\n(#!/bin/bash\n#SBATCH.*?)```", text, re.DOTALL).group(1)
    merge = re.search(r'--wrap "(.*?)"', text).group(1)
    assert f"--array=1-{TASKS} " in script and f"/{TASKS}" in script
    program = f"{sys.executable} -m lapse "
    return [
        part.replace("lapse prepare", f"{program}prepare")
        .replace("physionet.org/files", str(tree))
        .replace("--size 448", "--size 16 --subset")
        for part in (script, merge)
    ]


def test_an_array_job_makes_the_store_of_a_single_run(tmp_path):
    tree = wide_tree.write_wide_tree(tmp_path / "tree", NUM_STUDIES)
    script, merge = commands(tree)
    for folder in ("array", "single"):
        (tmp_path / folder).mkdir()
    # the two tasks that have a shard, at the same time
    running = [
        subprocess.Popen(
            ["bash", "-ec", script],
            cwd=tmp_path / "array",
            env={**os.environ, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_CPUS_PER_TASK": "1"},
        )
        for task in (1, 2)
    ]
    assert [process.wait() for process in running] == [0, 0]
    assert not (tmp_path / "array" / "store448").exists()
    assert len(list((tmp_path / "array" / "store448.shards").glob("*.npy"))) == 2
    for folder in ("array", "single"):
        subprocess.run(["bash", "-ec", merge], cwd=tmp_path / folder, check=True)
    stores = [file_hashes(tmp_path / folder / "store448") for folder in ("array", "single")]
    assert stores[0] == stores[1]
