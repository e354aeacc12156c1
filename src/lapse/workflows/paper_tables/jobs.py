"""The work behind tables: each run once, trained and answered, in an order that can be followed.

    run --> Job: train it where OUT/runs/<key>.done is missing, then write what rows ask of it

Rows and tables that share a run share its job. One process at a time works on a run folder: a
lock file beside it makes a second one wait, so that a harness that was killed and one that was
started anew never write into the same folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from lapse.core.files import file_lock
from lapse.evaluation.predictions.jsonl import write_predictions
from lapse.inference.predict import PredictOptions, predict
from lapse.training.trainer import train
from lapse.workflows.paper_tables.spec import PlannedRow, PlannedRun, Scale, TableSpec, run_folder

Say = Callable[[str], None]
Progress = Callable[[int, int], None]
Bar = Callable[[str], AbstractContextManager[Progress]]
# What a run may fail of without ending the harness: it is reported, and the others go on.
FAILURES = (ValueError, RuntimeError, OSError, MemoryError)


def null_progress(_: str) -> AbstractContextManager[Progress]:
    """A progress bar that nobody sees."""
    return nullcontext(lambda _done, _total: None)


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How tables are run.

    Attributes:
        scale: "tiny", "small" or "paper".
        only: keys of rows; ours is always among them. () for all.
        seeds: of the last run of each row.
        split: which split is answered and scored.
        processes: how many runs are worked on side by side, each in a process of one thread;
            1 works here, with the threads that torch has.
    """

    scale: Scale = "tiny"
    only: tuple[str, ...] = ()
    seeds: int = 1
    split: str = "test"
    processes: int = 1


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """One predictions file that a row needs. `limit`: at most so many samples, None for all."""

    path: Path
    tasks: tuple[str, ...]
    split: str
    limit: int | None


@dataclass(frozen=True, slots=True)
class Job:
    """One run, its folder, and what rows ask of it (nothing, where others only begin with it)."""

    run: PlannedRun
    folder: Path
    asked: tuple[PredictionRequest, ...] = ()

    @property
    def mark(self) -> Path:
        """Written when the run has reached its last step."""
        return self.folder.with_name(f"{self.folder.name}.done")

    @property
    def is_done(self) -> bool:
        """Whether the run is trained and every predictions file is there."""
        return self.mark.exists() and all(item.path.exists() for item in self.asked)


def prediction_request(
    spec: TableSpec, run: PlannedRun, out: Path, options: TableOptions
) -> PredictionRequest:
    """The predictions that a row of `spec` needs of its last run."""
    limit = spec.limit(options.scale)
    path = out / "predictions" / f"{run.key}-{options.split}-{limit or 'all'}.jsonl"
    tasks = run.config.data.tasks if run.config.stage == "diffvqa" else spec.tasks
    return PredictionRequest(path, tuple(tasks), options.split, limit)


def plan_jobs(
    planned: Sequence[tuple[TableSpec, Sequence[PlannedRow]]], out: Path, options: TableOptions
) -> list[Job]:
    """Every run of all tables once, each behind the one that it begins with."""
    runs: dict[str, PlannedRun] = {}
    asked: dict[str, dict[Path, PredictionRequest]] = {}
    for spec, rows in planned:
        for row in rows:
            for run in row.runs:
                runs.setdefault(run.key, run)
            if row.runs:
                item = prediction_request(spec, row.runs[-1], out, options)
                asked.setdefault(row.runs[-1].key, {})[item.path] = item
    return [
        Job(run, run_folder(out, key), tuple(asked.get(key, {}).values()))
        for key, run in runs.items()
    ]


def do(
    job: Job,
    *,
    say: Say = lambda _: None,
    bar: Bar = null_progress,
    on_step: Callable[[], None] = lambda: None,
) -> None:
    """Train and answer what is missing of a job.

    Args:
        job: from `plan_jobs`.
        say: receives one line per event.
        bar: title -> a progress bar.
        on_step: called at the edge of every step, and between batches of answers.

    Raises:
        ValueError: as `train` and `predict` do.
        SystemExit: 143 after a signal, with a checkpoint at the step's edge.
    """
    lock = job.folder.with_name(f"{job.folder.name}.lock")
    with file_lock(lock, lambda: say(f"waiting for the process that still works on {job.folder}")):
        if not job.mark.exists():
            with bar(f"train {job.run.key}") as progress:
                report = train(
                    job.run.config,
                    job.run.data,
                    job.folder,
                    say=say,
                    progress=progress,
                    on_step=lambda _: on_step(),
                )
            job.mark.write_text(f"{report.step} steps\n", encoding="utf-8")
        for item in job.asked:
            if not item.path.exists():
                with bar(f"predict {job.run.key}") as progress:
                    _answer(job, item, progress, on_step)


def failure_message(error: BaseException) -> str:
    """Why a run failed, as one sentence."""
    text = str(error) or "no message"
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


def _answer(
    job: Job, item: PredictionRequest, progress: Progress, on_step: Callable[[], None]
) -> None:
    def advance(done: int, total: int) -> None:
        on_step()
        progress(done, total)

    options = PredictOptions(tasks=item.tasks, limit=item.limit)
    predictions = predict(job.folder, job.run.data, item.split, options, progress=advance)
    write_predictions(item.path, predictions)
