"""Independent runs at the same time: one child process of one thread each, dependent ones in order.

    harness --Job--> child: train, answer
    harness <--("say", line)-- child          lines come out with the key of their run in front
    harness <--("done", "") | ("failed", reason)-- child

Two processes of one thread use two cores better than one process of two threads: the steps of
small models are too short to share. A child that dies is a run that failed; what begins with it
fails with it, and everything else goes on. Asked to stop, the harness asks its children, which
save at the edge of their step. A child whose harness was killed stops itself in the same way.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch
import torch.distributed as dist

from lapse.training.distributed import slurm_environment, stop_signal
from lapse.training.trainer import STOPPED
from lapse.workflows.paper_tables.jobs import FAILURES, Bar, Job, Say, do, failure_message

Outcome = tuple[str, str]  # key of a run, and why it failed ("" where it did not)
PATIENCE = 0.5  # seconds between two looks at whether the harness is to stop


@dataclass(frozen=True, slots=True)
class _Child:
    job: Job
    process: BaseProcess
    since: float


def work(jobs: Sequence[Job], processes: int, *, say: Say, bar: Bar) -> Iterator[Outcome]:
    """Do all jobs; each outcome as it comes.

    Args:
        jobs: each behind the one that it begins with (`plan_jobs`).
        processes: 1 works here and shows bars; more work side by side and show lines.
        say: receives one line per event.
        bar: title -> a progress bar.

    Raises:
        ValueError: several processes inside torchrun or srun, where every task would start them.
        SystemExit: 143 after SIGTERM or SIGINT.
    """
    failed: dict[str, str] = {}
    if processes > 1 and (
        dist.is_torchelastic_launched() or slurm_environment(os.environ) is not None
    ):
        raise ValueError(
            f"{processes} processes side by side inside torchrun or srun: every task would start "
            "its own; use --processes 1 there"
        )
    found = (
        _here(jobs, failed, say, bar) if processes == 1 else _Crew(jobs, failed, say).run(processes)
    )
    for key, reason in found:
        if reason:
            failed[key] = reason
            say(f"{key} failed: {reason}")
        yield key, reason


def _lost(job: Job, failed: dict[str, str]) -> str:
    """Why a job cannot begin, "" where it can."""
    parent = job.run.parent
    return f"it begins with {parent}, which failed: {failed[parent]}" if parent in failed else ""


def _here(jobs: Sequence[Job], failed: dict[str, str], say: Say, bar: Bar) -> Iterator[Outcome]:
    for job in jobs:
        reason = _lost(job, failed)
        if not reason and not job.is_done:
            try:
                do(job, say=say, bar=bar)
            except FAILURES as error:
                reason = failure_message(error)
        yield job.run.key, reason


class _Crew:
    """Which jobs wait, which are at work, and which are over."""

    def __init__(self, jobs: Sequence[Job], failed: dict[str, str], say: Say) -> None:
        self.waiting, self.failed, self.say = list(jobs), failed, say
        self.over: set[str] = set()
        self.working: dict[Connection, _Child] = {}
        self.context = multiprocessing.get_context("spawn")

    def run(self, processes: int) -> Iterator[Outcome]:
        try:
            with stop_signal() as asked:
                while self.waiting or self.working:
                    yield from self._without_child()
                    self._hire(processes)
                    heard = [self._hear(pipe) for pipe in wait(list(self.working), PATIENCE)]
                    over = [outcome for outcome in heard if outcome is not None]
                    self.failed |= {key: reason for key, reason in over if reason}
                    self._hire(processes)  # before the caller scores: nobody waits for that
                    yield from over
                    if asked.is_set():
                        self.say("asked to stop: the runs save at the edge of their step")
                        raise SystemExit(STOPPED)
        finally:
            self._dismiss()

    def _without_child(self) -> Iterator[Outcome]:
        """Jobs that need no work, or that can never begin."""
        for job in list(self.waiting):
            reason = _lost(job, self.failed)
            if reason or (job.is_done and self._may_begin(job)):
                self.waiting.remove(job)
                self.over.add(job.run.key)
                yield job.run.key, reason

    def _may_begin(self, job: Job) -> bool:
        return not job.run.parent or job.run.parent in self.over - self.failed.keys()

    def _hire(self, processes: int) -> None:
        for job in [job for job in self.waiting if self._may_begin(job)]:
            if len(self.working) == processes:
                return
            self.waiting.remove(job)
            ours, theirs = self.context.Pipe()
            process = self.context.Process(target=_serve, args=(job, theirs))
            process.start()
            theirs.close()
            self.working[ours] = _Child(job, process, time.monotonic())
            self.say(f"{job.run.key}: begins")

    def _hear(self, pipe: object) -> Outcome | None:
        """Take one message; the outcome of a job that is over."""
        assert isinstance(pipe, Connection)
        child = self.working[pipe]
        key = child.job.run.key
        try:
            kind, text = pipe.recv()
        except (EOFError, OSError):
            child.process.join()
            kind = "failed"
            text = (
                f"its process ended with exit code {child.process.exitcode} before it was done "
                "(out of memory?); the same command tries again"
            )
        if kind == "say":
            self.say(f"{key}: {text}")
            return None
        pipe.close()
        child.process.join()
        del self.working[pipe]
        self.over.add(key)
        if kind == "done":
            minutes = (time.monotonic() - child.since) / 60
            left = len(self.waiting) + len(self.working)
            self.say(f"{key}: done in {minutes:.1f} minutes, {left} runs left")
        return key, "" if kind == "done" else text

    def _dismiss(self) -> None:
        """Ask every child to save and stop, and wait for it."""
        for child in self.working.values():
            child.process.terminate()
        for pipe, child in self.working.items():
            pipe.close()  # a child that is still talking is not waited for
            child.process.join()
        self.working.clear()


def _serve(job: Job, pipe: Connection) -> None:
    """A child's life: one job."""
    torch.set_num_threads(1)
    stop_without = _stops_without_parent()

    def say(line: str) -> None:
        try:
            pipe.send(("say", line))
        except OSError:
            stop_without()

    try:
        do(job, say=say, on_step=stop_without)
        message = ("done", "")
    except FAILURES as error:
        message = ("failed", failure_message(error))
    try:
        pipe.send(message)
    except OSError:
        return


def _stops_without_parent() -> Callable[[], None]:
    """A check for the edge of a step: the parent's death is a request to save and stop."""
    parent = multiprocessing.parent_process()
    is_asked = False

    def check() -> None:
        nonlocal is_asked
        if not is_asked and parent is not None and not parent.is_alive():
            is_asked = True
            signal.raise_signal(signal.SIGTERM)

    return check
