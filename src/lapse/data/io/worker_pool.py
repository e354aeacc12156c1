"""Child processes that work through tasks and may die: what they died of is refused, not fatal.

    parent --(task, refused)--> child
    parent <--- ("at", item) -- child      before each item that could kill it
    parent <--- ("done", result)

A child that dies or says nothing for `patience` seconds is replaced, and its task is done again
without the item it was at: a decoder that crashes or hangs on one damaged image costs that image.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
Request = TypeVar("Request", contravariant=True)
Made = TypeVar("Made", covariant=True)
Begin = Callable[[str], None]
MAX_DEATHS = 100  # more than that is not one damaged file but the machine


class Job(Protocol[Request, Made]):
    """What a child does with a task; travels to the child once."""

    def __call__(self, task: Request, refused: dict[str, str], begin: Begin) -> Made:
        """Do the task; `begin(item)` before each item, `refused` are items not to be touched."""
        ...


@dataclass(slots=True)
class _Child(Generic[Task]):
    process: BaseProcess
    pipe: Connection
    task: Task | None = None
    item: str = ""
    heard: float = 0.0
    refused: dict[str, str] = field(default_factory=dict)


def run_inline(
    job: Job[Task, Result], tasks: Iterable[Task], on_item: Begin = lambda _: None
) -> Iterator[Result]:
    """The same without children: nothing protects the caller from a decoder that dies."""
    for task in tasks:
        yield job(task, {}, on_item)


def run_isolated(
    job: Job[Task, Result],
    tasks: Iterable[Task],
    *,
    processes: int,
    patience: float = 60.0,
    on_item: Begin = lambda _: None,
) -> Iterator[Result]:
    """Results of all tasks, as they come.

    Args:
        job: a picklable callable.
        tasks: taken one by one, so they may be made lazily; each must be picklable.
        processes: how many children.
        patience: seconds without a word after which a child is killed.
        on_item: called with each item that begins.

    Raises:
        ValueError: a job raised ValueError; a child died before its first item, or too many did.
    """
    crew = _Crew(job, patience, on_item)
    try:
        yield from crew.run(iter(tasks), processes)
    finally:
        crew.close()


class _Crew(Generic[Task, Result]):
    def __init__(self, job: Job[Task, Result], patience: float, on_item: Begin) -> None:
        self.job, self.patience, self.on_item = job, patience, on_item
        self.context = multiprocessing.get_context("spawn")
        self.children: list[_Child[Task]] = []
        self.deaths = 0

    def run(self, tasks: Iterator[Task], processes: int) -> Iterator[Result]:
        for task in tasks:
            self.children.append(self._hire(task, {}))
            if len(self.children) == processes:
                break
        while any(child.task is not None for child in self.children):
            for child in self._ready():
                try:
                    message = child.pipe.recv()
                except (EOFError, OSError):
                    self._replace(child, "the process that read it died")
                    continue
                found = self._hear(child, message)
                if found is not None:
                    yield found[0]
                    self._give(child, next(tasks, None), {})

    def close(self) -> None:
        for child in self.children:
            with suppress(OSError):
                child.pipe.close()
            child.process.join(0.2 if child.task is None else 0.0)
            if child.process.is_alive():
                child.process.kill()
                child.process.join()

    def _hear(self, child: _Child[Task], message: tuple[str, Any]) -> tuple[Result] | None:
        """Take one message; a result comes back in a tuple."""
        kind, value = message
        child.heard = time.monotonic()
        if kind == "at":
            child.item = value
            self.on_item(value)
        elif kind == "done":
            return (value,)
        elif kind == "error":
            raise ValueError(value)
        return None

    def _ready(self) -> list[_Child[Task]]:
        """The children that said something; silent ones are replaced."""
        busy = {child.pipe: child for child in self.children if child.task is not None}
        now = time.monotonic()
        earliest = min(child.heard for child in busy.values()) + self.patience
        ready = [busy[pipe] for pipe in wait(list(busy), max(0.05, earliest - now)) if pipe in busy]
        now = time.monotonic()
        for child in busy.values():
            if child not in ready and now - child.heard > self.patience:
                self._replace(child, f"reading it took more than {self.patience:g} s")
        return [child for child in ready if child in self.children]

    def _replace(self, child: _Child[Task], why: str) -> None:
        self.deaths += 1
        child.process.kill()
        child.process.join()
        child.pipe.close()
        code = child.process.exitcode
        if not child.item or child.item in child.refused:
            raise ValueError(
                f"a process ended (exit code {code}) before it reached its first image: out of "
                "memory, or called outside an `if __name__ == '__main__':` block"
            )
        if self.deaths > MAX_DEATHS:
            raise ValueError(
                f"{self.deaths} processes died, the last one at {child.item} (exit code {code}): "
                "the machine is out of memory or its image library is broken"
            )
        assert child.task is not None
        refused = {**child.refused, child.item: why}
        self.children[self.children.index(child)] = self._hire(child.task, refused)

    def _hire(self, task: Task, refused: dict[str, str]) -> _Child[Task]:
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=_serve, args=(self.job, theirs), daemon=True)
        process.start()
        theirs.close()
        child: _Child[Task] = _Child(process, ours)
        self._give(child, task, refused)
        return child

    def _give(self, child: _Child[Task], task: Task | None, refused: dict[str, str]) -> None:
        child.task, child.item, child.refused = task, "", refused
        child.heard = time.monotonic()
        if task is not None:
            with suppress(OSError):  # a dead child is noticed by its closed pipe
                child.pipe.send((task, refused))


def _serve(job: Job[Any, Any], pipe: Connection) -> None:
    """A child's life: tasks until the pipe closes."""

    def begin(item: str) -> None:
        pipe.send(("at", item))

    while True:
        try:
            task, refused = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            message = ("done", job(task, refused, begin))
        except ValueError as error:
            message = ("error", str(error))
        try:
            pipe.send(message)
        except OSError:
            return
