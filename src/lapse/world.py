"""Where this process runs: its device, its place among the ranks, and being asked to stop.

torchrun's process group when there is one (gloo on CPUs, nccl on GPUs), this process alone
otherwise.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def pick_device() -> torch.device:
    """The GPU when there is one, the CPU otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True, slots=True)
class World:
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


@contextmanager
def open_world() -> Iterator[World]:
    """This process alone, or its place under torchrun or in a process group already open."""
    is_ours = not dist.is_initialized() and dist.is_torchelastic_launched()
    device = pick_device()
    if is_ours:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        if not dist.is_initialized():
            yield World(0, 1, device)
            return
        if device.type == "cuda":
            device = torch.device("cuda", dist.get_node_local_rank())
            torch.cuda.set_device(device)
        yield World(dist.get_rank(), dist.get_world_size(), device)
    finally:
        if is_ours:
            dist.destroy_process_group()


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
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
