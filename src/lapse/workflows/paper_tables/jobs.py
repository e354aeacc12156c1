"""The work behind tables: each run is trained and answered once, after the run it starts from.

    run --> Job: train if OUT/runs/<key>.done is missing, then write the predictions of all rows

Rows and tables that share a run share its job. The lock of the run folder lets one process
at a time work on it, so that two harnesses never write into the same folder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lapse.core.progress import Progress, ProgressBar, no_progress_bar
from lapse.inference.predict import PredictOptions
from lapse.inference.prediction_job import predict_to_file
from lapse.training.run_folder import run_lock
from lapse.training.trainer import Callbacks, train
from lapse.workflows.paper_tables.plan import PlannedRow, PlannedRun, TableOptions, run_folder
from lapse.workflows.paper_tables.spec import TableSpec

logger = logging.getLogger(__name__)
# Errors that fail a run without ending the harness: they are reported, and other runs continue.
FAILURES = (ValueError, RuntimeError, OSError, MemoryError)


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """A predictions file that a row needs. `limit`: maximum number of samples, None for all."""

    path: Path
    tasks: tuple[str, ...]
    split: str
    limit: int | None


@dataclass(frozen=True, slots=True)
class Job:
    """One run, its folder, and the predictions that rows need (none for an intermediate run)."""

    run: PlannedRun
    folder: Path
    requests: tuple[PredictionRequest, ...] = ()

    @property
    def done_mark(self) -> Path:
        """The file that marks a run as trained to its last step."""
        return self.folder.with_name(f"{self.folder.name}.done")

    @property
    def is_done(self) -> bool:
        """Whether the run is trained and every predictions file exists."""
        return self.done_mark.exists() and all(item.path.exists() for item in self.requests)


def prediction_request(
    spec: TableSpec, row: PlannedRow, out: Path, options: TableOptions
) -> PredictionRequest:
    """The predictions that a row of `spec` needs of its last run."""
    run = row.runs[-1]
    limit = spec.limit(options.scale)
    path = out / "predictions" / f"{run.key}-{options.split}-{limit or 'all'}.jsonl"
    trained = run.config.data.tasks if run.config.stage == "diffvqa" else spec.tasks
    tasks = row.row.answer_tasks or trained
    return PredictionRequest(path, tuple(tasks), options.split, limit)


def plan_jobs(
    planned: Sequence[tuple[TableSpec, Sequence[PlannedRow]]], out: Path, options: TableOptions
) -> list[Job]:
    """Every run of all tables once, each after the run that it starts from."""
    runs: dict[str, PlannedRun] = {}
    requests: dict[str, dict[Path, PredictionRequest]] = {}
    for spec, rows in planned:
        for row in rows:
            for run in row.runs:
                runs.setdefault(run.key, run)
            if row.runs:
                item = prediction_request(spec, row, out, options)
                requests.setdefault(row.runs[-1].key, {})[item.path] = item
    return [
        Job(run, run_folder(out, key), tuple(requests.get(key, {}).values()))
        for key, run in runs.items()
    ]


def run_job(
    job: Job,
    *,
    progress_bar: ProgressBar = no_progress_bar,
    on_step: Callable[[], None] = lambda: None,
) -> None:
    """Train and answer what is missing of a job.

    Args:
        job: from `plan_jobs`.
        progress_bar: title -> a progress bar.
        on_step: called after every training step and every batch of answers.

    Raises:
        ValueError: as `train` and `predict`.
        SystemExit: 143 after a signal, with a checkpoint of the last step.
    """
    message = "waiting for process %s, which works on %s"
    with run_lock(job.folder, lambda holder: logger.info(message, holder, job.folder)):
        if not job.done_mark.exists():
            with progress_bar(f"train {job.run.key}") as progress:
                callbacks = Callbacks(progress, lambda _: on_step())
                report = train(
                    job.run.config, job.run.data, job.folder, callbacks=callbacks, is_locked=True
                )
            job.done_mark.write_text(f"{report.step} steps\n", encoding="utf-8")
        for request in job.requests:
            if not request.path.exists():
                with progress_bar(f"predict {job.run.key}") as progress:
                    _predict(job, request, progress, on_step)


def _predict(
    job: Job, request: PredictionRequest, progress: Progress, on_step: Callable[[], None]
) -> None:
    def advance(done: int, total: int) -> None:
        on_step()
        progress(done, total)

    options = PredictOptions(tasks=request.tasks, limit=request.limit)
    predict_to_file(
        job.folder, job.run.data, request.split, request.path, options, progress=advance
    )


def failure_message(error: BaseException) -> str:
    """Why a run failed, as one sentence."""
    text = str(error) or "no message"
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
