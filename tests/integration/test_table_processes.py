"""Runs of a table in child processes: same result as one process; a dead child fails alone; a
stopped or killed harness stops its children after a checkpoint."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tiny_store
from lapse.workflows.paper_tables.jobs import plan_jobs
from lapse.workflows.paper_tables.plan import TableOptions, plan
from lapse.workflows.paper_tables.run import open_stores, run_tables
from lapse.workflows.paper_tables.scheduler import run_jobs
from small_table import ROWS, spec

SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_store.write(tmp_path_factory.mktemp("processes") / "store")


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level("INFO", logger="lapse")
    return caplog


def planned(data, out):
    table = spec(rows=ROWS[:2])
    rows = plan(table, out, open_stores([data]), TableOptions())
    return plan_jobs([(table, rows)], out, TableOptions())


def results(out):
    """Last weights and predictions, by file."""
    weights = out.glob("runs/*/checkpoints/step-00000004/model.safetensors")
    files = sorted([*weights, *out.glob("predictions/*")])
    return {path.relative_to(out): path.read_bytes() for path in files}


def test_two_processes_give_the_same_bits_as_one(data, tmp_path, log):
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in each child
    try:
        assert set(dict(run_jobs(planned(data, tmp_path / "one"), 1)).values()) == {""}
    finally:
        torch.set_num_threads(num_threads)
    log.clear()
    tables = {"t": spec(rows=ROWS[:2])}
    rows = run_tables(tables, [data], tmp_path / "two", TableOptions(processes=2))["t"]
    assert [row.reason for row in rows] == ["", ""]
    assert results(tmp_path / "two") == results(tmp_path / "one") != {}
    assert (tmp_path / "two" / "t.html").exists()
    started = [line for line in log.messages if line.endswith(": started")]
    first_done = next(n for n, line in enumerate(log.messages) if ": done in" in line)
    assert len(started) == 3
    assert sum(line in log.messages[:first_done] for line in started) == 2  # at the same time
    prefixes = {line.split(": ")[0] for line in log.messages if "validation" in line}
    assert prefixes <= {line.split(": ")[0] for line in started}


def test_a_failure_fails_the_runs_that_start_from_it(data, tmp_path):
    parent, child, alone = planned(data, tmp_path)
    broken = replace(parent, run=replace(parent.run, data=tmp_path / "missing"))
    outcomes = dict(run_jobs([broken, child, alone], 2))
    assert "missing" in outcomes[parent.run.key]
    assert "it starts from pretrain-tiny" in outcomes[child.run.key]
    assert outcomes[alone.run.key] == ""


class KillTrainingChild(logging.Handler):
    """Kills the child process that trains a run, after its first step."""

    def __init__(self, job):
        super().__init__()
        self.job, self.killed = job, []

    def emit(self, record):
        line = record.getMessage()
        if self.killed or not line.startswith(f"{self.job.run.key}: step"):
            return
        lock = str(self.job.folder / "run.lock")
        for child in multiprocessing.active_children():
            open_files = Path(f"/proc/{child.pid}/fd").iterdir()
            if any(os.path.realpath(path) == lock for path in open_files):
                child.kill()
                self.killed.append(child)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_process_that_dies_fails_its_run_alone(data, tmp_path):
    parent, _, alone = planned(data, tmp_path)
    handler, logger = KillTrainingChild(parent), logging.getLogger("lapse")
    logger.addHandler(handler)
    try:
        outcomes = dict(run_jobs([parent, alone], 2))
    finally:
        logger.removeHandler(handler)
    assert len(handler.killed) == 1
    assert "its process ended before the run was done" in outcomes[parent.run.key]
    assert outcomes[alone.run.key] == ""
    assert dict(run_jobs([parent], 2)) == {parent.run.key: ""}  # the same call continues it


HARNESS = """
import logging
import sys
from pathlib import Path
from lapse.workflows.paper_tables.run import run_tables
from lapse.workflows.paper_tables.plan import TableOptions
from small_table import ROWS, SMALL, spec

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    more = ["train.steps=100000", "train.save_every=100000"]
    long = {key: [*part, *more] for key, part in SMALL.items()}
    run_tables({"t": spec(rows=ROWS[:1], tiny=long)}, [Path(sys.argv[1])], Path(sys.argv[2]),
               TableOptions(processes=2))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_runs_of_a_stopped_or_killed_harness_save_and_stop(number, data, tmp_path):
    (tmp_path / "harness.py").write_text(HARNESS, "utf-8")
    paths = [str(SUPPORT), os.environ.get("PYTHONPATH", "")]
    harness = subprocess.Popen(
        [sys.executable, str(tmp_path / "harness.py"), str(data), str(tmp_path / "out")],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": ":".join(paths)},
    )  # fmt: skip
    with harness:
        for line in harness.stdout:
            if "step 2 of" in line:
                harness.send_signal(number)
                break
        assert harness.wait(60) == (143 if number == signal.SIGTERM else -9)
    deadline = time.monotonic() + 60
    while not (saved := list((tmp_path / "out").glob("runs/pretrain-*/checkpoints/step-????????"))):
        assert time.monotonic() < deadline, "the child of the harness did not save"
        time.sleep(0.1)
    (folder,) = (path.parent.parent for path in saved)
    assert int(saved[0].name.split("-")[-1]) < 100_000
    size = (folder / "timing.jsonl").stat().st_size
    time.sleep(0.3)
    assert (folder / "timing.jsonl").stat().st_size == size  # no process trains any more
