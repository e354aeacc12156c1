"""Jobs: equal runs once, and one process at a time."""

from lapse.workflows.paper_tables.jobs import FAILURES, plan_jobs
from lapse.workflows.paper_tables.plan import TableOptions, plan
from lapse.workflows.paper_tables.run import open_stores
from small_table import ROWS, spec


def test_equal_runs_are_one_job_after_the_run_that_they_start_from(data, tmp_path):
    table = spec(rows=ROWS[:2])
    rows = plan(table, tmp_path, open_stores([data]), TableOptions())
    jobs = plan_jobs([(table, rows), (spec(rows=ROWS[:1]), rows[:1])], tmp_path, TableOptions())
    keys = [job.run.key for job in jobs]
    assert len(set(keys)) == len(keys) == 3
    assert [len(job.requests) for job in jobs] == [0, 1, 1]
    assert jobs[1].run.parent == keys[0]
    assert not any(job.is_done for job in jobs)


def test_errors_of_a_run_are_failures_and_defects_are_not():
    assert issubclass(UnicodeDecodeError, FAILURES) and not issubclass(KeyError, FAILURES)
