"""Where this process runs: its device, its place among the ranks, and being asked to stop.

The process group of torchrun or of Slurm's `srun` when there is one (gloo on CPUs, nccl on GPUs),
this process alone otherwise. What torchrun or srun tell their tasks is all that is read from the
environment.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
FIRST_PORT, NUM_PORTS = 20_000, 20_000  # where the ranks of a Slurm job meet


def pick_device() -> torch.device:
    """The GPU when there is one, the CPU otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True, slots=True)
class DistributedContext:
    """This process among all processes of the run."""

    rank: int
    size: int
    device: torch.device

    def sum(self, values: list[float]) -> list[float]:
        """Element-wise sum over the ranks."""
        if self.size == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]

    def wait(self) -> None:
        """Until every rank is here."""
        if self.size > 1:
            dist.barrier()


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a Slurm job step: what `srun` says about it.

    Attributes:
        rank, size: among all tasks of the step.
        local: among the tasks of its node.
        address: "host:port" of the first node; the port follows from the number of the job.
    """

    rank: int
    size: int
    local: int
    address: str


def slurm_environment(environment: Mapping[str, str]) -> Task | None:
    """The place of this process in a step of several tasks; None outside of `srun`.

    Raises:
        ValueError: srun's variables are incomplete.
    """
    size = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    if size < 2:
        return None
    names = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NODELIST", "SLURM_JOB_ID")
    missing = [name for name in names if name not in environment]
    if missing:
        raise ValueError(f"srun started {size} tasks without {missing[0]}: start them with srun")
    rank, local, nodes, job = (environment[name] for name in names)
    port = FIRST_PORT + int(job) % NUM_PORTS
    return Task(int(rank), size, int(local), f"{first_node(nodes)}:{port}")


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
def init_distributed() -> Iterator[DistributedContext]:
    """This process alone, or its place under torchrun, srun, or in a group already open."""
    task = None if dist.is_initialized() else slurm_environment(os.environ)
    is_torchrun = dist.is_torchelastic_launched()
    is_ours = not dist.is_initialized() and (task is not None or is_torchrun)
    device = pick_device()
    backend = "nccl" if device.type == "cuda" else "gloo"
    if is_ours and (task is None or is_torchrun):
        task = None
        dist.init_process_group(backend)
    elif is_ours and task is not None:
        dist.init_process_group(
            backend,
            init_method=f"tcp://{task.address}",
            rank=task.rank,
            world_size=task.size,
        )
    try:
        if not dist.is_initialized():
            yield DistributedContext(0, 1, device)
            return
        if device.type == "cuda":
            local = dist.get_node_local_rank() if task is None else task.local
            device = torch.device("cuda", local % torch.cuda.device_count())
            torch.cuda.set_device(device)
        yield DistributedContext(dist.get_rank(), dist.get_world_size(), device)
    finally:
        if is_ours:
            dist.destroy_process_group()


def autocast(world: DistributedContext, precision: str) -> AbstractContextManager[object]:
    """bf16 where it is asked for, or "auto" on a GPU."""
    kind = world.device.type
    is_half = precision == "bf16" or (precision == "auto" and kind == "cuda")
    return torch.autocast(kind, dtype=torch.bfloat16) if is_half else nullcontext()


@contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """An event that SIGTERM, SIGINT or SIGUSR1 sets; the second signal acts as usual."""
    asked = threading.Event()
    before: dict[signal.Signals, Any] = {}

    def ask(number: int, _frame: FrameType | None) -> None:
        asked.set()
        signal.signal(number, before[signal.Signals(number)])

    if threading.current_thread() is threading.main_thread():
        for name in SIGNALS:
            before[name] = signal.signal(name, ask)
    try:
        yield asked
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
