"""Run a table: train what is missing, go on with what was cut, predict, score, write.

    OUT/runs/<key>/            run folders; equal runs of rows and tables are one folder
    OUT/runs/<key>.done        written when a run has reached its last step
    OUT/predictions/<key>-<split>-<limit>.jsonl
    OUT/table2.md .csv .html   written again after every row, so that a cut table is a table too

A kill loses at most the steps since the last checkpoint: the same command goes on. A row that
cannot run (a preset or a store that is missing, a loss that is not finite) is listed with its
reason, and the others run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from lapse.config import load_config, preset_names
from lapse.data.store import open_store
from lapse.evaluate import (
    check_same_samples,
    evaluate,
    read_predictions,
    write_predictions,
)
from lapse.harness.page import write_cases, write_scores_table
from lapse.harness.results import RowResult
from lapse.predict import predict
from lapse.runs import METRICS, build_model, without_pretrained
from lapse.tables import Data, PlannedRow, PlannedRun, RowSpec, Scale, TableSpec, plan, run_folder
from lapse.text import Tokenizer
from lapse.train import train
from lapse.types import Prediction

Say = Callable[[str], None]
Progress = Callable[[int, int], None]
Bar = Callable[[str], AbstractContextManager[Progress]]


def _no_bar(_: str) -> AbstractContextManager[Progress]:
    return nullcontext(lambda _done, _total: None)


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How a table is run.

    Attributes:
        scale: "tiny" or "paper".
        only: keys of rows; ours is always among them. () for all.
        seeds: of the last run of each row.
        split: which split is answered and scored.
    """

    scale: Scale = "tiny"
    only: tuple[str, ...] = ()
    seeds: int = 1
    split: str = "test"


def run_table(
    name: str,
    spec: TableSpec,
    data: Sequence[Path],
    out: Path,
    options: TableOptions | None = None,
    *,
    say: Say = lambda _: None,
    bar: Bar = _no_bar,
    provenance: Mapping[str, str] | None = None,
) -> list[RowResult]:
    """Run every row of a table and write it; the same call again goes on or just writes.

    Args:
        name: of the files that are written ("table2").
        spec: from `lapse.tables.read_table`.
        data: stores, each of another image side.
        out: the folder of all tables and runs.
        options: scale, rows, seeds, split.
        say: receives one line per event.
        bar: title -> a progress bar.
        provenance: further facts for the foot of the page.

    Raises:
        ValueError: two stores of one size, a row that is not there, or no store.
        SystemExit: 143 after SIGTERM or SIGINT, with a checkpoint at the step's edge.
    """
    chosen = options or TableOptions()
    stores = open_stores(data)
    rows = plan(spec, out, stores, scale=chosen.scale, seeds=chosen.seeds, only=chosen.only)
    results: dict[str, RowResult] = {}
    answers: dict[str, dict[str, str]] = {}
    truth: list[Prediction] = []
    first_data = next(iter(stores.values())).path
    facts = {
        **open_store(first_data).info.provenance(),
        "scale": chosen.scale,
        "seeds": str(chosen.seeds),
        "split": chosen.split,
        **(provenance or {}),
    }
    for row in dict.fromkeys(item.row.key for item in rows):
        chain = [item for item in rows if item.row.key == row]
        said, result = _row(spec, chain, out, chosen, say=say, bar=bar)
        if said and truth:
            try:
                check_same_samples(truth, said, row)
            except ValueError as error:
                said, result = [], RowResult(result.row, reason=str(error))
        truth = truth or said
        results[row] = result
        answers[row] = {item.id: item.prediction for item in said}
        say(f"{spec.title.split(':')[0]}, row {row}: {result.reason or 'done'}")
        if spec.kind == "cases":
            _cases(name, spec, results, answers, truth, out, first_data, facts)
        else:
            write_scores_table(out / name, spec, list(results.values()), facts)
    return list(results.values())


def open_stores(data: Sequence[Path]) -> dict[int, Data]:
    """Stores by their image side.

    Raises:
        ValueError: none, or two of one side.
    """
    found: dict[int, Data] = {}
    for path in data:
        info = open_store(path).info
        if info.size in found:
            raise ValueError(
                f"{found[info.size].path} and {path} both hold {info.size} px images: name one "
                "store of each size"
            )
        found[info.size] = Data(path, info.fingerprint)
    if not found:
        raise ValueError("a table needs data: name a store with --data")
    return found


def count_parameters(row: RowSpec) -> tuple[tuple[int, int], ...]:
    """Parameters of each run's model at the paper's scale, all and trained; () where a preset
    is missing. Nothing is allocated: the models are built without memory."""
    found = []
    changes = [*row.changes.get("all", ()), *row.paper_changes.get("all", ())]
    known = preset_names()
    for preset in row.paper:
        if preset not in known:
            return ()
        with torch.device("meta"):
            config = without_pretrained(load_config(preset, changes))
            model = build_model(config, Tokenizer())
        every = list(model.parameters())
        trained = sum(item.numel() for item in every if item.requires_grad)
        found.append((sum(item.numel() for item in every), trained))
    return tuple(found)


def _row(
    spec: TableSpec,
    chain: Sequence[PlannedRow],
    out: Path,
    options: TableOptions,
    *,
    say: Say,
    bar: Bar,
) -> tuple[list[Prediction], RowResult]:
    """All seeds of one row: the predictions of the first, and the scores of each."""
    row = chain[0].row
    size = count_parameters(row)
    found, scores = [], []
    try:
        for item in chain:
            if item.missing:
                raise ValueError(item.missing)
            for run in item.runs:
                _train(run, out, say=say, bar=bar)
            said = _predict(spec, item.runs[-1], out, options, bar=bar)
            found.append(said)
            by_task = evaluate(said)
            scores.append(
                {f"{task}/{name}": s for task, rows in by_task.items() for name, s in rows.items()}
            )
    except ValueError as error:
        return [], RowResult(row, parameters=size, reason=str(error))
    patients = {
        task: tuple(item.patient for item in found[0] if item.task == task)
        for task in dict.fromkeys(item.task for item in found[0])
    }
    curve = read_curve(run_folder(out, chain[0].runs[-1].key))
    return found[0], RowResult(row, tuple(scores), patients, curve, size)


def _train(run: PlannedRun, out: Path, *, say: Say, bar: Bar) -> None:
    folder = run_folder(out, run.key)
    mark = folder.with_name(f"{folder.name}.done")
    if mark.exists():
        return
    with bar(f"train {run.key}") as progress:
        report = train(run.config, run.data, folder, say=say, progress=progress)
    mark.write_text(f"{report.step} steps\n", encoding="utf-8")


def _predict(
    spec: TableSpec, run: PlannedRun, out: Path, options: TableOptions, *, bar: Bar
) -> list[Prediction]:
    limit = spec.tiny_limit if options.scale == "tiny" else None
    path = out / "predictions" / f"{run.key}-{options.split}-{limit or 'all'}.jsonl"
    if not path.exists():
        names = run.config.data.tasks if run.config.stage == "diffvqa" else spec.tasks
        with bar(f"predict {run.key}") as progress:
            said = predict(
                run_folder(out, run.key),
                run.data,
                options.split,
                tasks=names,
                limit=limit,
                progress=progress,
            )
            write_predictions(path, said)
    return read_predictions(path)


def read_curve(folder: Path) -> tuple[tuple[int, float], ...]:
    """(step, held-out loss) of a run, from its metrics.jsonl."""
    points = []
    for line in (folder / METRICS).read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        if "validate/loss" in values:
            points.append((int(values["step"]), float(values["validate/loss"])))
    return tuple(points)


def _cases(
    name: str,
    spec: TableSpec,
    results: Mapping[str, RowResult],
    answers: Mapping[str, Mapping[str, str]],
    truth: Sequence[Prediction],
    out: Path,
    data: Path,
    facts: Mapping[str, str],
) -> None:
    from lapse.harness.cases import chosen_cases

    cases = chosen_cases(truth, open_store(data), spec.cases)
    write_cases(out / name, spec, list(results.values()), answers, cases, facts)
