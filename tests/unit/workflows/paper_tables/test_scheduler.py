"""Scheduling in one process. tests/integration/test_table_processes.py has child processes."""

from dataclasses import replace

import pytest

from lapse.workflows.paper_tables.jobs import plan_jobs
from lapse.workflows.paper_tables.plan import TableOptions, plan
from lapse.workflows.paper_tables.run import open_stores
from lapse.workflows.paper_tables.scheduler import run_jobs
from small_table import ROWS, spec


@pytest.fixture
def jobs(data, tmp_path):
    table = spec(rows=ROWS[:2])
    rows = plan(table, tmp_path, open_stores([data]), TableOptions())
    return plan_jobs([(table, rows)], tmp_path, TableOptions())


def test_a_failure_fails_the_runs_that_start_from_it(jobs, tmp_path, caplog):
    parent, child, alone = jobs
    broken = replace(parent, run=replace(parent.run, data=tmp_path / "missing"))
    outcomes = dict(run_jobs([broken, child, alone], 1))
    assert "missing" in outcomes[parent.run.key]
    assert "it starts from pretrain-tiny" in outcomes[child.run.key]
    assert outcomes[alone.run.key] == ""
    failures = [message.split()[0] for message in caplog.messages if " failed: " in message]
    assert failures == [parent.run.key, child.run.key]


@pytest.mark.parametrize("processes", [1, 2])
def test_finished_jobs_are_not_run_again(jobs, processes):
    for job in jobs:
        paths = [job.done_mark, *(request.path for request in job.requests)]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert list(run_jobs(jobs, processes)) == [(job.run.key, "") for job in jobs]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_table_is_refused_under_srun(jobs, processes, monkeypatch):
    for name, value in {
        "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
        "SLURM_STEP_NODELIST": "a1", "SLURM_JOB_ID": "7",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="a table inside torchrun or srun"):
        list(run_jobs(jobs, processes))
