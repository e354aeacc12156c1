"""Process pool that survives worker crashes: the item that a worker fails on is rejected.

    parent --- (task, rejected) ---> worker
    parent <---- ("item", name) ---- worker     before each item that could crash it
    parent <-- ("result", value) --- worker     or ("error", message)

A worker that dies, or sends nothing for `timeout` seconds, is replaced, and its task is repeated
without the item that it was processing. A decoder that crashes or hangs on one damaged image costs
that image only.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
ItemCallback = Callable[[str], None]
# A picklable callable, which each worker receives once. Its arguments are a task, the items that
# must not be processed with the reason of each, and a function to call with the name of each item
# before it is processed.
Job = Callable[[Task, dict[str, str], ItemCallback], Result]
MAX_CRASHES = 100  # more crashes point to the machine rather than to damaged files


def run_inline(
    job: Job[Task, Result], tasks: Iterable[Task], on_item: ItemCallback = lambda _: None
) -> Iterator[Result]:
    """Results of all tasks, computed in this process without protection from crashes."""
    for task in tasks:
        yield job(task, {}, on_item)


def run_isolated(
    job: Job[Task, Result],
    tasks: Iterable[Task],
    *,
    num_workers: int,
    timeout: float = 60.0,
    on_item: ItemCallback = lambda _: None,
) -> Iterator[Result]:
    """Results of all tasks in the order of completion, computed by worker processes.

    Args:
        tasks: consumed one by one, so a generator works; each task must be picklable.
        timeout: seconds without a message after which a worker is killed.
        on_item: called with the name of each item that a worker starts to process.

    Raises:
        ValueError: the job raised a ValueError, a worker died before its first item, or too many
            workers died.
    """
    pool = _WorkerPool(job, timeout, on_item)
    try:
        yield from pool.run(iter(tasks), num_workers)
    finally:
        pool.close()


@dataclass(slots=True, eq=False)
class _Worker(Generic[Task]):
    process: BaseProcess
    pipe: Connection
    task: Task | None = None
    item: str = ""
    last_message: float = 0.0
    rejected: dict[str, str] = field(default_factory=dict)

    def assign(self, task: Task | None, rejected: dict[str, str]) -> None:
        """Send a task; None leaves the worker idle."""
        self.task, self.item, self.rejected = task, "", rejected
        self.last_message = time.monotonic()
        if task is not None:
            with suppress(OSError):  # `recv` reports the closed pipe of a dead worker
                self.pipe.send((task, rejected))


class _WorkerPool(Generic[Task, Result]):
    def __init__(self, job: Job[Task, Result], timeout: float, on_item: ItemCallback) -> None:
        self.job, self.timeout, self.on_item = job, timeout, on_item
        self.context = multiprocessing.get_context("spawn")
        self.workers: list[_Worker[Task]] = []
        self.num_crashes = 0

    def run(self, tasks: Iterator[Task], num_workers: int) -> Iterator[Result]:
        for task in islice(tasks, num_workers):
            self.workers.append(self._start(task, {}))
        while busy := [worker for worker in self.workers if worker.task is not None]:
            for worker in self._ready(busy):
                try:
                    kind, value = worker.pipe.recv()
                except (EOFError, OSError):
                    self._replace(worker, "the process that read it died")
                    continue
                worker.last_message = time.monotonic()
                if kind == "item":
                    worker.item = value
                    self.on_item(value)
                elif kind == "error":
                    raise ValueError(value)
                else:
                    yield value
                    worker.assign(next(tasks, None), {})

    def close(self) -> None:
        for worker in self.workers:
            with suppress(OSError):
                worker.pipe.close()
            worker.process.join(0.2 if worker.task is None else 0.0)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _ready(self, busy: list[_Worker[Task]]) -> list[_Worker[Task]]:
        """The workers that sent a message; those past their timeout are replaced."""
        by_pipe: dict[Any, _Worker[Task]] = {worker.pipe: worker for worker in busy}
        deadline = min(worker.last_message for worker in busy) + self.timeout
        pipes = wait(list(by_pipe), max(0.05, deadline - time.monotonic()))
        ready = [by_pipe[pipe] for pipe in pipes]
        now = time.monotonic()
        for worker in busy:
            if worker not in ready and now - worker.last_message > self.timeout:
                self._replace(worker, f"reading it took more than {self.timeout:g} s")
        return ready

    def _replace(self, worker: _Worker[Task], reason: str) -> None:
        """Kill a worker and start another one on its task, without the item it failed on."""
        self.num_crashes += 1
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        code = worker.process.exitcode
        if not worker.item or worker.item in worker.rejected:
            raise ValueError(
                f"a process ended (exit code {code}) before it reached its first image: out of "
                "memory, or called outside an `if __name__ == '__main__':` block"
            )
        if self.num_crashes > MAX_CRASHES:
            raise ValueError(
                f"{self.num_crashes} processes died, the last one at {worker.item} (exit code "
                f"{code}): the machine is out of memory or its image library is broken"
            )
        assert worker.task is not None
        rejected = {**worker.rejected, worker.item: reason}
        self.workers[self.workers.index(worker)] = self._start(worker.task, rejected)

    def _start(self, task: Task, rejected: dict[str, str]) -> _Worker[Task]:
        parent_end, worker_end = self.context.Pipe()
        process = self.context.Process(target=_work, args=(self.job, worker_end), daemon=True)
        process.start()
        worker_end.close()
        worker: _Worker[Task] = _Worker(process, parent_end)
        worker.assign(task, rejected)
        return worker


def _work(job: Job[Any, Any], pipe: Connection) -> None:
    """The main loop of a worker: process tasks until the pipe closes."""

    def on_item(item: str) -> None:
        pipe.send(("item", item))

    while True:
        try:
            task, rejected = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            message = ("result", job(task, rejected, on_item))
        except ValueError as error:
            message = ("error", str(error))
        try:
            pipe.send(message)
        except OSError:
            return
