"""Slurm's variables, stop signals, and log levels of ranks."""

import logging
import signal

import pytest
import torch

from lapse.training.distributed import (
    DistributedContext,
    autocast,
    first_node,
    init_distributed,
    slurm_environment,
    stop_signal,
)


def test_one_task_of_srun_is_a_single_process():
    assert slurm_environment({}) is None
    assert slurm_environment({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) is None


def test_the_variables_of_srun():
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


def test_a_single_process_has_rank_0_and_logs_everything():
    logger = logging.getLogger("lapse")
    level = logger.level
    with init_distributed() as distributed:
        assert (distributed.rank, distributed.world_size) == (0, 1)
        assert logger.level == level
    assert distributed.sum([1.0, 2.0]) == [1.0, 2.0]
    distributed.barrier()


def test_the_first_signal_sets_the_event_and_the_second_acts_as_before():
    with pytest.raises(KeyboardInterrupt), stop_signal() as event:
        signal.raise_signal(signal.SIGINT)
        assert event.is_set()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("precision", "is_half"), [("bf16", True), ("auto", False), ("fp32", False)]
)
def test_autocast_on_a_cpu(precision, is_half):
    context = DistributedContext(0, 1, torch.device("cpu"))
    with autocast(context.device, precision):
        assert torch.is_autocast_enabled("cpu") is is_half
