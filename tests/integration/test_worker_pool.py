"""The worker pool: a worker that crashes or hangs costs one item, not the run."""

import multiprocessing

import pytest

from lapse.data.io.worker_pool import run_inline, run_isolated
from worker_jobs import DieAtOnce, Sum


def test_all_tasks_are_done_once_and_items_are_reported():
    tasks = [(1, 2), (3,), (), (4, 5, 6)]
    inline = sorted(run_inline(Sum(), tasks))
    items = []
    isolated = sorted(run_isolated(Sum(), tasks, num_workers=2, on_item=items.append))
    assert inline == isolated == [(0, ()), (3, ()), (3, ()), (15, ())]
    assert sorted(items) == ["1", "2", "3", "4", "5", "6"]
    assert list(run_isolated(Sum(), [], num_workers=2)) == []


def test_a_crash_costs_one_item():
    tasks = [(1, "die", 2), (3,)]
    results = sorted(run_isolated(Sum(), tasks, num_workers=2))
    assert results == [(3, ()), (3, (("die", "the process that read it died"),))]


def test_a_hanging_item_is_rejected():
    results = list(run_isolated(Sum(), [(1, "hang", 2)], num_workers=1, timeout=2.0))
    assert results == [(3, (("hang", "reading it took more than 2 s"),))]


def test_an_error_of_the_job_ends_the_run_and_all_workers():
    with pytest.raises(ValueError, match="this task is wrong"):
        list(run_isolated(Sum(), [(1,), ("error",), (2,)], num_workers=1))
    assert not multiprocessing.active_children()


def test_a_worker_that_dies_before_its_first_item_is_an_error():
    with pytest.raises(ValueError, match=r"exit code 9.*before it reached its first image"):
        list(run_isolated(DieAtOnce(), [(1,)], num_workers=1))
