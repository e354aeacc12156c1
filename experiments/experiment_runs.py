"""Run the arms of the experiment (docs/explanation/experiment.md), several at the same time.

    python experiments/experiment_runs.py --data store128 --data store64 --out runs \
        --results experiments/results [--processes 2] [--arms ours,cap] [--seeds 3] \
        [--set train.steps=5] [--minutes 150] [--keep-weights] [--validation-questions 400]

Each arm and seed is one process of one thread: stage 1, stage 2, answers to the test questions,
answers to the same questions with exchanged images, and the log-probability of the true answers
(with --validation-questions 400, also the answers by which a preset is chosen).
A finished chain is copied to RESULTS/<arm>-<seed>/ and is not run again. A chain that is stopped
continues from its checkpoints. With --minutes, chains are dropped from the end of the list as soon
as their progress shows that they cannot end in time.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from lapse.data.loading.batch import collate, encode_sample
from lapse.data.loading.batch_stream import read_pixels
from lapse.data.loading.records import load_tasks, split_records
from lapse.data.store.store import open_store
from lapse.evaluation.predictions.jsonl import read_predictions, write_predictions
from lapse.inference.predict import PredictOptions, predict
from lapse.models.interface import ScoringModel
from lapse.training.run_folder import LoadedRun, load_run
from lapse.training.trainer import train
from lapse.workflows.paper_tables.plan import PlannedRow, TableOptions, plan, run_folder
from lapse.workflows.paper_tables.run import open_stores
from lapse.workflows.paper_tables.settings import check_settings, parse_settings
from lapse.workflows.paper_tables.spec import read_table

TABLE = "experiment"
POLL_SECONDS = 4.0
GRACE_SECONDS = 20.0  # from SIGTERM to the checkpoint
MEASURED_SECONDS = 15.0  # of training, before the end of a chain is estimated
END_SECONDS = 25.0  # reading the pairs, and answers behind the last step


@dataclass(frozen=True)
class Settings:
    """The options of the command line that chains share."""

    data: list[Path]
    out: Path
    results: Path
    table: str
    keep_weights: bool
    commit: str = "unknown"
    changes: tuple[str, ...] = ()
    validation_questions: int = 0


def planned_rows(settings: Settings, arms: list[str], num_seeds: int) -> list[PlannedRow]:
    """Every chain in the order in which it is run: all arms at the first seed, then the next."""
    spec = read_table(settings.table)
    keys = arms or [row.key for row in spec.rows]
    options = TableOptions(
        scale="small", seeds=num_seeds, settings=parse_settings(settings.changes)
    )
    rows = plan(spec, settings.out, open_stores(settings.data), options)
    missing = [f"{row.row.key}: {row.missing}" for row in rows if row.missing]
    if missing:
        print("not run:", *missing, sep="\n  ", flush=True)
    order = {key: position for position, key in enumerate(keys)}
    chosen = [row for row in rows if row.row.key in order and not row.missing]
    check_settings(options.settings, [run.config for row in chosen for run in row.runs])
    return sorted(chosen, key=lambda row: (row.seed, order[row.row.key]))


def result_folder(settings: Settings, row: PlannedRow) -> Path:
    """Where the files of a finished chain are kept."""
    return settings.results / f"{row.row.key}-{row.seed}"


def run_chain(settings: Settings, row: PlannedRow) -> None:
    """Train both stages of an arm at one seed, answer, score, and keep the results."""
    spec = read_table(settings.table)
    for run in row.runs:
        train(run.config, run.data, run_folder(settings.out, run.key))
    last = row.runs[-1]
    folder = run_folder(settings.out, last.key)
    loaded = load_run(folder)
    draft = settings.out / "drafts" / f"{row.row.key}-{row.seed}"
    draft.mkdir(parents=True, exist_ok=True)
    limits = {"test": spec.limit("small"), "validate": settings.validation_questions}
    for split, limit in limits.items():
        for name, probe in ((split, None), (f"{split}-swap", "swap")):
            if limit != 0:
                options = PredictOptions(limit=limit, probe=probe)
                path = draft / f"predictions-{name}.jsonl"
                write_predictions(path, predict(loaded, last.data, split, options))
    if isinstance(loaded.model, ScoringModel):
        ids = {item.id for item in read_predictions(draft / "predictions-test.jsonl")}
        write_log_probabilities(loaded, last.data, ids, draft / "log-probability.jsonl")
    for path in sorted(draft.glob("*.jsonl")):
        with path.open("rb") as plain, gzip.open(f"{path}.gz", "wb") as packed:
            shutil.copyfileobj(plain, packed)
        path.unlink()
    for number, run in enumerate(row.runs, start=1):
        source = run_folder(settings.out, run.key)
        for name in ("config.yaml", "metrics.jsonl", "timing.jsonl"):
            # a configuration names the folder of stage 1: without the path of this machine
            text = (source / name).read_text("utf-8").replace(f"{settings.out}/", "")
            (draft / f"{number}-{run.config.stage}-{name}").write_text(text, encoding="utf-8")
    if settings.keep_weights:
        save_half(loaded, draft / "model.safetensors")
    facts = {
        "arm": row.row.key,
        "seed": row.seed,
        "runs": [run.key for run in row.runs],
        "device": str(loaded.device),
        "torch": str(torch.__version__),
        "commit": settings.commit,
        "data": open_store(last.data).info.provenance(),
    }
    (draft / "facts.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    target = result_folder(settings, row)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(draft, target)


def write_log_probabilities(run: LoadedRun, data: Path, ids: set[str], path: Path) -> None:
    """For each test sample: patient, log-probability of the true answer in nats, its tokens."""
    model = run.model
    assert isinstance(model, ScoringModel)
    store = open_store(data)

    (task,) = load_tasks(run.config.data.tasks, store.info.size)
    samples = [
        sample
        for record in split_records(store, task, "test")
        for sample in task.samples(record)
        if sample.id in ids
    ]
    limit = run.config.data.max_tokens
    with path.open("w", encoding="utf-8") as file, torch.inference_mode():
        for start in range(0, len(samples), 64):
            part = samples[start : start + 64]
            texts = [encode_sample(sample, run.tokenizer, limit) for sample in part]
            batch = collate(part, texts, read_pixels(store.pixels, part)).to(run.device)
            values = model.log_probability(batch).tolist()
            for sample, text, value in zip(part, texts, values, strict=True):
                line = {
                    "id": sample.id,
                    "patient": sample.patient,
                    "log_probability": round(value, 5),
                    "tokens": len(text.ids) - text.prompt,
                }
                file.write(json.dumps(line) + "\n")


def save_half(run: LoadedRun, path: Path) -> None:
    """The weights of a run as 16-bit floats, with its vocabulary as metadata."""
    tensors = {
        name: value.detach().cpu().half().contiguous() if value.is_floating_point() else value.cpu()
        for name, value in run.model.state_dict().items()
    }
    save_file(tensors, path, {"vocabulary": json.dumps(list(run.tokenizer.kept or ()))})


def progress_of(settings: Settings, row: PlannedRow) -> float:
    """Fraction of a chain's training that is done; a step of stage 2 costs half a step."""
    total = done = 0.0
    for run in row.runs:
        cost = 1.0 if run.config.stage == "pretrain" else 0.5
        steps = run.config.train.steps or 1  # the random answer is counted in epochs
        path = run_folder(settings.out, run.key) / "timing.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        step = int(json.loads(lines[-1])["step"]) if lines else 0
        total += cost * steps
        done += cost * min(step, steps)
    return done / max(1.0, total)


@dataclass
class Chain:
    """A running process: its row, and when its training was first seen to move."""

    row: PlannedRow
    first: tuple[float, float] | None = None  # (time, fraction)

    @property
    def name(self) -> str:
        return f"{self.row.row.key}-{self.row.seed}"

    def seconds_left(self, settings: Settings, now: float) -> float | None:
        """Expected seconds to the end; None while there is too little to tell."""
        fraction = progress_of(settings, self.row)
        if self.first is None:
            self.first = (now, fraction) if fraction > 0.0 else None
            return None
        since, start = self.first
        if now - since < MEASURED_SECONDS or fraction <= start:
            return None
        return (1.0 - fraction) * (now - since) / (fraction - start) + END_SECONDS * (fraction < 1)


def supervise(
    settings: Settings, rows: list[PlannedRow], command: list[str], args: argparse.Namespace
) -> None:
    """Keep `processes` chains running until all are done or the time is over."""
    began = time.monotonic()
    deadline = began + 60.0 * args.minutes if args.minutes else float("inf")
    waiting = [row for row in rows if not result_folder(settings, row).is_dir()]
    running: dict[subprocess.Popen[bytes], Chain] = {}
    last_drop = began
    logs = settings.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)

    def report(text: str) -> None:
        print(f"[{time.monotonic() - began:.0f} s] {text}", flush=True)

    while (waiting or running) and time.monotonic() < deadline:
        while waiting and len(running) < args.processes:
            chain = Chain(waiting.pop(0))
            with (logs / f"{chain.name}.log").open("ab") as log:
                worker = ["--worker", f"{chain.row.row.key}:{chain.row.seed}"]
                child = subprocess.Popen([*command, *worker], stdout=log, stderr=log)
            running[child] = chain
        time.sleep(POLL_SECONDS)
        for child in [child for child in running if child.poll() is not None]:
            report(f"{running.pop(child).name}: exit {child.returncode}")
        now = time.monotonic()
        left = [chain.seconds_left(settings, now) for chain in running.values()]
        slowest = max((seconds for seconds in left if seconds is not None), default=0.0)
        is_late = now + slowest > deadline and now - last_drop > args.patience
        if is_late and len(running) > args.least:
            child, chain = list(running.items())[-1]
            report(f"{chain.name}: dropped, {slowest:.0f} s are needed")
            stop([child])
            running.pop(child)
            waiting.clear()
            last_drop = now
    stop(list(running))
    fractions = {f"{row.row.key}-{row.seed}": round(progress_of(settings, row), 3) for row in rows}
    report(json.dumps(fractions))


def stop(children: list[subprocess.Popen[bytes]]) -> None:
    """Ask chains to save a checkpoint and end; kill those that do not."""
    for child in children:
        child.send_signal(signal.SIGTERM)
    limit = time.monotonic() + GRACE_SECONDS
    for child in children:
        try:
            child.wait(max(0.1, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()


def main() -> None:
    """Read the command line; run one chain (--worker) or supervise all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--table", default=TABLE, help="name of a table or its YAML file")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--arms", default="", help="keys of rows, separated by commas; default all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--minutes", type=float, default=0.0, help="0: no limit")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds between two drops")
    parser.add_argument("--least", type=int, default=1, help="never drop below this many chains")
    parser.add_argument("--keep-weights", action="store_true")
    parser.add_argument("--commit", default="unknown", help="of the code, for facts.json")
    parser.add_argument(
        "--validation-questions",
        type=int,
        default=0,
        help="also answer that many questions of validation patients (the choice of presets)",
    )
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    settings = Settings(
        args.data,
        args.out,
        args.results,
        args.table,
        args.keep_weights,
        args.commit,
        tuple(args.changes),
        args.validation_questions,
    )
    rows = planned_rows(settings, [key for key in args.arms.split(",") if key], args.seeds)
    if args.worker:
        key, _, seed = args.worker.rpartition(":")
        (row,) = [row for row in rows if (row.row.key, row.seed) == (key, int(seed))]
        run_chain(settings, row)
        return
    supervise(settings, rows, [sys.executable, *sys.argv], args)


if __name__ == "__main__":
    main()
