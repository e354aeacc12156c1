"""Runs jobs in order, or several at the same time, each in a child process with one thread.

    harness --Job--> child: train, answer
    harness <--(level, line)-- child       log lines, with the key of the run in front
    harness <--result or error-- child

Two processes with one thread use two cores better than one process with two threads, because the
steps of small models are short. Every job has an executor with one process: a process that dies
breaks its executor, so only its own run fails, and the runs that start from it. After a stop
signal the harness sets an event, and the children save a checkpoint after their step. Children
whose harness was killed do the same.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from multiprocessing.synchronize import Event

import torch
import torch.distributed as dist

from lapse.core.progress import ProgressBar, no_progress_bar
from lapse.training.distributed import slurm_environment, stop_signal
from lapse.training.trainer import STOPPED
from lapse.workflows.paper_tables.jobs import FAILURES, Job, failure_message, run_job

logger = logging.getLogger(__name__)
Outcome = tuple[str, str]  # key of a run, reason of its failure ("" after success)
POLL_SECONDS = 0.5  # between two checks for a stop signal


def run_jobs(
    jobs: Sequence[Job], processes: int, *, progress_bar: ProgressBar = no_progress_bar
) -> Iterator[Outcome]:
    """Run all jobs; yields each outcome as soon as it is known.

    Args:
        jobs: each after the job that it starts from (`plan_jobs`).
        processes: 1 runs the jobs in this process; more run in child processes, without bars.
        progress_bar: title -> a progress bar.

    Raises:
        ValueError: inside torchrun or srun, where every task would run all jobs.
        SystemExit: 143 after a stop signal (SIGTERM, SIGINT, SIGHUP, SIGUSR1).
    """
    if dist.is_torchelastic_launched() or slurm_environment(os.environ) is not None:
        raise ValueError(
            "a table inside torchrun or srun: each of their tasks would run the same table; start "
            "lapse table once, as an ordinary process"
        )
    in_order = processes == 1
    outcomes = _run_in_order(jobs, progress_bar) if in_order else _run_in_processes(jobs, processes)
    for key, reason in outcomes:
        if reason:
            logger.warning("%s failed: %s", key, reason)
        yield key, reason


def _run_in_order(jobs: Sequence[Job], progress_bar: ProgressBar) -> Iterator[Outcome]:
    results: dict[str, str] = {}
    for job in jobs:
        reason = _failure_of_parent(job, results)
        if not reason and not job.is_done:
            try:
                run_job(job, progress_bar=progress_bar)
            except FAILURES as error:
                reason = failure_message(error)
        results[job.run.key] = reason
        yield job.run.key, reason


def _failure_of_parent(job: Job, results: Mapping[str, str]) -> str:
    """Why a job can never start, "" where it can. `results`: the outcomes until now."""
    reason = results.get(job.run.parent, "")
    return f"it starts from {job.run.parent}, which failed: {reason}" if reason else ""


def _run_in_processes(jobs: Sequence[Job], processes: int) -> Iterator[Outcome]:
    context = multiprocessing.get_context("spawn")
    stop_children = context.Event()
    waiting = list(jobs)
    running: dict[Future[None], _Child] = {}
    results: dict[str, str] = {"": ""}  # of finished jobs; "" is the parent of the first runs
    finished: list[Outcome] = []
    try:
        with stop_signal() as stop:
            while waiting or running or finished:
                for job in list(waiting):
                    reason = _failure_of_parent(job, results)
                    if not reason and job.run.parent not in results:
                        continue
                    if reason or job.is_done:
                        finished.append((job.run.key, reason))
                        results[job.run.key] = reason
                        waiting.remove(job)
                    elif len(running) < processes:
                        child = _Child(job, context, stop_children)
                        running[child.future] = child
                        waiting.remove(job)
                yield from finished  # after new jobs have started: the caller scores meanwhile
                done, _ = wait(running, POLL_SECONDS, FIRST_COMPLETED)
                finished = [running.pop(future).outcome() for future in done]
                results |= dict(finished)
                if stop.is_set():
                    logger.info("stop signal: the runs save a checkpoint after their step")
                    raise SystemExit(STOPPED)
    finally:
        stop_children.set()
        for child in running.values():
            child.executor.shutdown()


class _Child:
    """A job in a process; its log lines go to the logger of this process."""

    def __init__(self, job: Job, context: SpawnContext, stop: Event) -> None:
        self.job, self.start = job, time.monotonic()
        reader, writer = context.Pipe(duplex=False)
        self.executor = ProcessPoolExecutor(
            1, context, initializer=_start_child, initargs=(job.run.key, writer, stop)
        )
        logger.info("%s: started", job.run.key)
        self.future = self.executor.submit(_run_in_child, job)
        writer.close()  # the child has its copy: the reader sees the end when the child ends
        threading.Thread(target=_relay, args=(reader,), daemon=True).start()

    def outcome(self) -> Outcome:
        """Key and reason of the failure of a job that has ended."""
        reason = ""
        try:
            self.future.result()
        except BrokenProcessPool:
            reason = (
                "its process ended before the run was done (out of memory?); the same command "
                "continues it"
            )
        except SystemExit:
            reason = "its process was stopped; the same command continues it"
        except FAILURES as error:
            reason = failure_message(error)
        finally:
            self.executor.shutdown()
        if not reason:
            minutes = (time.monotonic() - self.start) / 60
            logger.info("%s: done in %.1f minutes", self.job.run.key, minutes)
        return self.job.run.key, reason


def _relay(reader: Connection) -> None:
    with suppress(EOFError, OSError):
        while True:
            level, line = reader.recv()
            logger.log(level, line)
    reader.close()


class _PipeHandler(logging.Handler):
    def __init__(self, writer: Connection) -> None:
        super().__init__()
        self.writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # the harness has ended, and the job stops after this step
            self.writer.send((record.levelno, self.format(record)))


_stop_event: Event | None = None  # of this child process


def _start_child(key: str, writer: Connection, stop: Event) -> None:
    """Set up a child process: one thread, log lines to the harness, the event of the harness."""
    global _stop_event
    _stop_event = stop
    torch.set_num_threads(1)
    handler = _PipeHandler(writer)
    handler.setFormatter(logging.Formatter(f"{key}: %(message)s"))
    package_logger = logging.getLogger("lapse")
    package_logger.setLevel(logging.INFO)
    package_logger.addHandler(handler)


def _run_in_child(job: Job) -> None:
    """Run a job in a child process; saves and stops if the harness stops or has been killed."""
    parent, stop = multiprocessing.parent_process(), _stop_event
    assert parent is not None and stop is not None
    is_stopping = False

    def check() -> None:
        nonlocal is_stopping
        if not is_stopping and (stop.is_set() or not parent.is_alive()):
            is_stopping = True
            signal.raise_signal(signal.SIGTERM)

    try:
        run_job(job, on_step=check)
    finally:
        if not parent.is_alive():  # an executor's process waits for its parent forever
            os._exit(STOPPED)
