"""This process in a run: its device, its rank, and the signal to stop.

The process group is that of torchrun or of Slurm's `srun` (gloo on CPUs, nccl on GPUs). Without
one, the run has one process. The environment variables that torchrun and srun set for their tasks
are the only ones that are read.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from lapse.data.loading.batch_workers import STOP_SIGNALS

FIRST_PORT, NUM_PORTS = 20_000, 20_000  # of the rendezvous of a Slurm job


def pick_device() -> torch.device:
    """The GPU when there is one, the CPU otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True, slots=True)
class DistributedContext:
    """This process among all processes of the run.

    Attributes:
        rank: 0 .. world_size - 1.
        world_size: number of processes.
        device: of this process.
    """

    rank: int
    world_size: int
    device: torch.device

    def sum(self, values: list[float]) -> list[float]:
        """Element-wise sum over the ranks."""
        if self.world_size == 1:
            return values
        device = "cpu" if dist.get_backend() == "gloo" else self.device
        tensor = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]

    def barrier(self) -> None:
        """Wait until every rank has called this."""
        if self.world_size > 1:
            dist.barrier()


@dataclass(frozen=True, slots=True)
class SlurmEnvironment:
    """One task of a Slurm job step, from the variables of `srun`.

    Attributes:
        rank, world_size: among all tasks of the step.
        local_rank: among the tasks of its node.
        address: "host:port" of the first node; the port depends on the job id.
    """

    rank: int
    world_size: int
    local_rank: int
    address: str


def slurm_environment(environment: Mapping[str, str]) -> SlurmEnvironment | None:
    """This process as a task of a step with several tasks; None outside of `srun`.

    Raises:
        ValueError: a variable of srun is missing.
    """
    world_size = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    if world_size < 2:
        return None
    names = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NODELIST", "SLURM_JOB_ID")
    missing = [name for name in names if name not in environment]
    if missing:
        raise ValueError(
            f"srun started {world_size} tasks without {missing[0]}: start them with srun"
        )
    rank, local_rank, nodes, job = (environment[name] for name in names)
    port = FIRST_PORT + int(job) % NUM_PORTS
    return SlurmEnvironment(int(rank), world_size, int(local_rank), f"{first_node(nodes)}:{port}")


def first_node(nodes: str) -> str:
    """The first host of a Slurm node list.

    >>> first_node("gpu[003-005,9],login1")
    'gpu003'
    >>> first_node("a1,a2")
    'a1'
    """
    match = re.match(r"([^,\[]+)(?:\[([^,\-\]]+)[^\]]*\]([^,]*))?", nodes)
    if match is None:
        raise ValueError(f"no host in the node list {nodes!r}")
    return "".join(part or "" for part in match.groups())


@contextmanager
def init_distributed(
    *, backend: str | None = None, timeout: timedelta | None = None
) -> Iterator[DistributedContext]:
    """The context of this process, with the process group of torchrun or srun if there is one.

    A process group that is initialized already is used and left open. On ranks other than 0 the
    logger "lapse" shows warnings only.

    Args:
        backend: of torch.distributed; None: nccl on GPUs, gloo on CPUs.
        timeout: how long a rank waits for another; None: torch's default for the backend.
    """
    device = pick_device()
    backend = backend or ("nccl" if device.type == "cuda" else "gloo")
    is_initialized = dist.is_initialized()
    slurm = None
    if not is_initialized and dist.is_torchelastic_launched():
        dist.init_process_group(backend, timeout=timeout)
    elif not is_initialized and (slurm := slurm_environment(os.environ)) is not None:
        dist.init_process_group(
            backend,
            init_method=f"tcp://{slurm.address}",
            rank=slurm.rank,
            world_size=slurm.world_size,
            timeout=timeout,
        )
    if not dist.is_initialized():
        yield DistributedContext(0, 1, device)
        return
    logger = logging.getLogger("lapse")
    level = logger.level
    try:
        if device.type == "cuda":
            local_rank = dist.get_node_local_rank() if slurm is None else slurm.local_rank
            device = torch.device("cuda", local_rank % torch.cuda.device_count())
            torch.cuda.set_device(device)
        if dist.get_rank() > 0:
            logger.setLevel(logging.WARNING)
        yield DistributedContext(dist.get_rank(), dist.get_world_size(), device)
    finally:
        logger.setLevel(level)
        if not is_initialized:
            dist.destroy_process_group()


@contextmanager
def enter_on_first_rank(
    context: AbstractContextManager[object], distributed: DistributedContext, message: str
) -> Iterator[None]:
    """Hold a context on rank 0, such as a lock, while every rank works.

    Args:
        context: is entered on rank 0.
        distributed: the ranks.
        message: the error of the other ranks if rank 0 cannot enter it.

    Raises:
        ValueError: as the context on rank 0; `message` on the others.
    """
    with ExitStack() as stack:
        error: Exception | None = None
        if distributed.rank == 0:
            try:
                stack.enter_context(context)
            except (ValueError, OSError) as raised:
                error = raised
        (num_errors,) = distributed.sum([float(error is not None)])
        if error is not None:
            raise error
        if num_errors:
            raise ValueError(message)
        yield


def rank_failure(error: RuntimeError, distributed: DistributedContext) -> str | None:
    """That another rank has ended, as one sentence; None for an error of another origin."""
    text = " ".join(str(error).split())
    is_of_group = isinstance(error, dist.DistError) or "gloo" in text or "by peer" in text
    if distributed.world_size == 1 or not is_of_group:
        return None
    return (
        f"rank {distributed.rank} lost the connection to another rank, whose message says why it "
        f"ended; the same command continues from the last checkpoint ({text[:200]})"
    )


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """bf16 autocast for "bf16", and for "auto" on a GPU; nothing otherwise.

    On a GPU, the matrix products that remain in fp32 then use TF32. A `Trainer` replaces "auto"
    first (`lapse.training.precision`).
    """
    if not (precision == "bf16" or (precision == "auto" and device.type == "cuda")):
        yield
        return
    previous = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            yield
    finally:
        torch.set_float32_matmul_precision(previous)


@contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """An event that SIGTERM, SIGINT, SIGHUP or SIGUSR1 sets.

    A second SIGINT (Ctrl-C) acts as before. The others do not: `timeout` and torchrun send SIGTERM
    twice. A signal that is ignored at the start, as SIGHUP under nohup, stays ignored.
    """
    event = threading.Event()
    handlers: dict[signal.Signals, Any] = {}

    def stop(number: int, _frame: FrameType | None) -> None:
        event.set()
        if number == signal.SIGINT:
            signal.signal(number, handlers[signal.SIGINT])

    if threading.current_thread() is threading.main_thread():
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is signal.SIG_IGN:
                continue
            handlers[number] = signal.signal(number, stop)
    try:
        yield event
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
