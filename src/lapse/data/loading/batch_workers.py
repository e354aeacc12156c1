"""The batches of consecutive steps, made by forked worker processes.

    main --- step k ------------------> worker k mod W      2 steps ahead of the main process
    main <-- queue <-- thread <-------- its batches, or the sentence of an error

Each worker has its own pipe, so the death of a worker closes the pipe, at any byte of a message. A
thread per worker reads the pipe, so a worker that stops in the middle of a message cannot block
the main process, which waits `LOADER_TIMEOUT` seconds at most. Tensors are sent as bytes: torch's
data loader sends file descriptors, and can wait without a limit for one of a dead worker.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import torch
from torch import Tensor

from lapse.data.loading.batch import Batch
from lapse.data.loading.batch_stream import BalancedBatchStream

STOP_SIGNALS = tuple(  # SIGHUP and SIGUSR1 are POSIX only
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1")
    if hasattr(signal, name)
)
LOADER_TIMEOUT = 1800.0  # seconds until the batches of a step are given up
STEPS_AHEAD = 2  # per worker
StepReader = Callable[[int], tuple[Batch, ...] | str]  # step -> its batches, or an error


def iterate_batches(
    stream: BalancedBatchStream, start: int, stop: int, *, rank: int = 0, world_size: int = 1
) -> Generator[tuple[Batch, ...], None, None]:
    """The batches of steps start .. stop - 1 in order, made by `train.num_workers` processes.

    The worker processes block stop signals, which a scheduler sends to all processes of a job: the
    step in work needs their batches. They end when the iterator is closed.

    Raises:
        ValueError: a worker failed, died, or made no batch in `LOADER_TIMEOUT` seconds; or this
            platform cannot fork.
    """
    num_workers = min(stream.train.num_workers, stop - start)
    if num_workers <= 0:
        yield from (stream.batches(step, rank, world_size) for step in range(start, stop))
        return

    def read(step: int) -> tuple[Batch, ...] | str:
        try:
            return stream.batches(step, rank, world_size)
        except (ValueError, OSError) as error:
            return str(error)

    with _running_workers(read, num_workers) as workers:
        num_ahead = STEPS_AHEAD * num_workers
        for step in range(start, min(start + num_ahead, stop)):
            workers[step % num_workers].send(step)
        for step in range(start, stop):
            worker = workers[step % num_workers]
            batches = worker.receive()
            if step + num_ahead < stop:
                worker.send(step + num_ahead)
            yield batches


@dataclass(frozen=True, slots=True)
class _TensorForm:
    """Replaces a tensor in a message; the bytes of the tensor follow the message."""

    dtype: torch.dtype
    shape: torch.Size


def _send(pipe: Connection, message: tuple[Batch, ...] | str) -> None:
    if isinstance(message, str):
        pipe.send(message)
        return
    forms: list[dict[str, object]] = []
    tensors: list[Tensor] = []
    for batch in message:
        values = {field.name: getattr(batch, field.name) for field in fields(batch)}
        for name, value in values.items():
            if isinstance(value, Tensor):
                values[name] = _TensorForm(value.dtype, value.shape)
                tensors.append(value.contiguous())
        forms.append(values)
    pipe.send(forms)
    for tensor in tensors:
        data = _bytes_of(tensor)
        while data:
            data = data[os.write(pipe.fileno(), data) :]


def _receive(pipe: Connection) -> tuple[Batch, ...] | str:
    """What `_send` sent.

    Raises:
        EOFError, OSError: the other process ended.
    """
    message: list[dict[str, Any]] | str = pipe.recv()
    if isinstance(message, str):
        return message
    for values in message:
        for name, value in values.items():
            if isinstance(value, _TensorForm):
                values[name] = torch.empty(value.shape, dtype=value.dtype)
                data = _bytes_of(values[name])
                while data:
                    count = os.readv(pipe.fileno(), [data])
                    if count == 0:
                        raise EOFError
                    data = data[count:]
    return tuple(Batch(**values) for values in message)


def _bytes_of(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor; NumPy has no bfloat16."""
    return tensor.detach().reshape(-1).view(torch.uint8).numpy().data


class _Worker:
    """One process, the main process's end of its pipe, and the thread that reads it."""

    def __init__(self, process: BaseProcess, pipe: Connection, num_workers: int) -> None:
        self.process, self.pipe, self.num_workers = process, pipe, num_workers
        self.messages: SimpleQueue[tuple[Batch, ...] | str | None] = SimpleQueue()
        self.thread = Thread(target=self._read_pipe, daemon=True)

    def send(self, step: int) -> None:
        """Order the batches of a step."""
        with suppress(OSError):  # `receive` reports the closed pipe of a dead worker
            self.pipe.send(step)

    def receive(self) -> tuple[Batch, ...]:
        """The batches of the earliest step ordered and not received."""
        try:
            message = self.messages.get(timeout=LOADER_TIMEOUT)
        except Empty:
            raise ValueError(
                f"no worker process made a batch in {LOADER_TIMEOUT:g} seconds: check the disk of "
                "the store, or set train.num_workers=0"
            ) from None
        if isinstance(message, str):
            raise ValueError(message)
        if message is None:
            self.process.join()
            raise ValueError(
                f"a worker process that reads batches ended (exit code {self.process.exitcode}): "
                "the machine may lack memory; lower train.num_workers, which is "
                f"{self.num_workers}, or set it to 0"
            )
        return message

    def end(self) -> None:
        """Kill the process; its thread then reads the end of the pipe."""
        self.process.kill()
        self.process.join()
        if self.thread.is_alive():
            self.thread.join()
        self.pipe.close()

    def _read_pipe(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self.messages.put(_receive(self.pipe))
        self.messages.put(None)


@contextmanager
def _running_workers(read: StepReader, num_workers: int) -> Iterator[list[_Worker]]:
    """Worker processes; they are killed when the block or the program ends."""
    if not hasattr(os, "fork"):
        raise ValueError(
            "worker processes need fork, which this platform lacks: set train.num_workers=0"
        )
    context = multiprocessing.get_context("fork")
    workers: list[_Worker] = []

    def end() -> None:
        for worker in workers:
            worker.end()

    atexit.register(end)  # multiprocessing would wait for workers that block SIGTERM
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # workers inherit the mask
    try:
        try:
            for _ in range(num_workers):
                pipe, worker_end = context.Pipe()
                unused = [*(worker.pipe for worker in workers), pipe]
                process = context.Process(
                    target=_work, args=(read, worker_end, unused), daemon=True
                )
                process.start()
                worker_end.close()
                workers.append(_Worker(process, pipe, num_workers))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for worker in workers:  # after the last fork
            worker.thread.start()
        yield workers
    finally:
        atexit.unregister(end)
        end()


def _work(read: StepReader, pipe: Connection, unused: list[Connection]) -> None:
    """Send the batches of each step that is received, until the main process ends."""
    for connection in unused:  # of the main process: they would hide its end
        connection.close()
    torch.set_num_threads(1)
    with suppress(EOFError, OSError):
        while True:
            _send(pipe, read(pipe.recv()))
