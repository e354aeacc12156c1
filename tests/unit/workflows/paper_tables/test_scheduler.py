"""Runs side by side end as runs in a row; what fails fails alone; who is killed goes on."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tiny_store
from lapse.core.files import file_lock
from lapse.workflows.paper_tables import jobs as jobs_file
from lapse.workflows.paper_tables.jobs import FAILURES, TableOptions, do, null_progress, plan_jobs
from lapse.workflows.paper_tables.run import open_stores, run_tables
from lapse.workflows.paper_tables.scheduler import work
from lapse.workflows.paper_tables.spec import plan
from small_table import ROWS, spec

TESTS = Path(__file__).parents[3] / "support"
QUIET = {"say": lambda _: None, "bar": null_progress}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_store.write(tmp_path_factory.mktemp("side") / "store")


def planned(data, out, rows=ROWS[:2], **changes):
    table = spec(rows=rows, **changes)
    found = plan(table, out, open_stores([data]), scale="tiny")
    return plan_jobs([(table, found)], out, TableOptions())


def made(out):
    """Last weights and answers, by file."""
    weights = out.glob("runs/*/checkpoints/step-00000004/model.safetensors")
    files = sorted([*weights, *out.glob("predictions/*")])
    return {path.relative_to(out): path.read_bytes() for path in files}


def test_every_run_is_one_job_behind_the_one_it_begins_with(data, tmp_path):
    table = spec(rows=ROWS[:2])
    found = plan(table, tmp_path, open_stores([data]), scale="tiny")
    jobs = plan_jobs([(table, found), (spec(rows=ROWS[:1]), found[:1])], tmp_path, TableOptions())
    keys = [job.run.key for job in jobs]
    assert len(set(keys)) == len(keys) == 3
    assert [len(job.asked) for job in jobs] == [0, 1, 1]
    assert jobs[1].run.parent == keys[0]


def test_two_processes_end_with_the_same_bits_as_one(data, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as each child has
    try:
        assert set(dict(work(planned(data, tmp_path / "one"), 1, **QUIET)).values()) == {""}
    finally:
        torch.set_num_threads(before)
    said = []
    options = TableOptions(processes=2)
    tables = {"t": spec(rows=ROWS[:2])}
    rows = run_tables(tables, [data], tmp_path / "two", options, say=said.append)["t"]
    assert [row.reason for row in rows] == ["", ""]
    assert made(tmp_path / "two") == made(tmp_path / "one") != {}
    assert (tmp_path / "two" / "t.html").exists()
    begun = [line for line in said if line.endswith(": begins")]
    first_done = next(place for place, line in enumerate(said) if ": done in" in line)
    assert len(begun) == 3 and sum(line in said[:first_done] for line in begun) == 2  # together


def test_a_run_that_fails_is_reported_and_the_others_go_on(data, tmp_path):
    jobs = planned(data, tmp_path)
    parent, child, alone = jobs
    broken = replace(parent, run=replace(parent.run, data=tmp_path / "gone"))
    for processes in (1, 2):
        outcomes = dict(work([broken, child, alone], processes, **QUIET))
        assert "gone" in outcomes[parent.run.key]
        assert "begins with pretrain-tiny" in outcomes[child.run.key]
        assert outcomes[alone.run.key] == ""


def test_a_process_that_dies_is_a_run_that_failed(data, tmp_path):
    (parent, *_) = planned(data, tmp_path)
    killed = []

    def kill(line):
        if "held-out loss" in line and not killed:
            killed.append(line)
            for child in multiprocessing.active_children():
                child.kill()

    outcomes = dict(work([parent], 2, say=kill, bar=null_progress))
    assert "exit code -9" in outcomes[parent.run.key]


def test_a_failure_that_is_no_defect_of_ours_is_caught_and_a_defect_is_not():
    assert issubclass(UnicodeDecodeError, FAILURES) and not issubclass(KeyError, FAILURES)


HARNESS = """
import sys
from pathlib import Path
from lapse.workflows.paper_tables.jobs import TableOptions
from lapse.workflows.paper_tables.run import run_tables
from small_table import ROWS, SMALL, spec

if __name__ == "__main__":
    more = ["train.steps=100000", "train.save_every=100000"]
    long = {key: [*part, *more] for key, part in SMALL.items()}
    run_tables({"t": spec(rows=ROWS[:1], tiny=long)}, [Path(sys.argv[1])], Path(sys.argv[2]),
               TableOptions(processes=2), say=lambda line: print(line, flush=True))
"""


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL]
)
def test_the_runs_of_a_stopped_or_killed_harness_save_and_stop(number, data, tmp_path):
    """Whoever ends the harness, its child leaves a checkpoint at the edge of its step."""
    (tmp_path / "harness.py").write_text(HARNESS, "utf-8")
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    harness = subprocess.Popen(
        [sys.executable, str(tmp_path / "harness.py"), str(data), str(tmp_path / "out")],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": ":".join(paths)},
    )  # fmt: skip
    with harness:
        for line in harness.stdout:
            if "step 2 of" in line:
                harness.send_signal(number)
                break
        assert harness.wait(30) == (143 if number == signal.SIGTERM else -9)
    end = time.monotonic() + 30
    while not (saved := list((tmp_path / "out").glob("runs/pretrain-*/checkpoints/step-????????"))):
        assert time.monotonic() < end, "the child of a killed harness did not save"
        time.sleep(0.1)
    (folder,) = (path.parent.parent for path in saved)
    step = int(saved[0].name.split("-")[-1])
    assert step < 100_000
    lines = (folder / "timing.jsonl").stat().st_size
    time.sleep(0.3)
    assert (folder / "timing.jsonl").stat().st_size == lines  # nobody trains any more


@pytest.mark.parametrize("is_guarded", [True, False])
def test_one_process_at_a_time_works_on_a_run(is_guarded, data, tmp_path, monkeypatch):
    (parent, *_) = planned(data, tmp_path)
    is_held, may_go, order = threading.Event(), threading.Event(), []

    def other():
        with file_lock(parent.folder.with_name(f"{parent.folder.name}.lock"), lambda: None):
            is_held.set()
            may_go.wait(30)
            order.append("other")

    thread = threading.Thread(target=other)
    thread.start()
    assert is_held.wait(30)
    if not is_guarded:  # the twin: without the lock two would write into one folder
        monkeypatch.setattr(jobs_file, "file_lock", lambda *_: nullcontext())
    do(parent, say=lambda line: (order.append(line), may_go.set() if is_guarded else None))
    may_go.set()
    thread.join()
    if not is_guarded:
        assert order[-1] == "other" and parent.mark.exists()
        return
    assert order[0].startswith("waiting for the process that still works on")
    assert order[1] == "other" and "held-out loss" in order[-1]
    assert parent.mark.exists()


def test_processes_side_by_side_are_refused_under_srun(data, tmp_path, monkeypatch):
    for name, value in {
        "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
        "SLURM_STEP_NODELIST": "a1", "SLURM_JOB_ID": "7",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="2 processes side by side inside torchrun or srun"):
        list(work(planned(data, tmp_path), 2, **QUIET))
