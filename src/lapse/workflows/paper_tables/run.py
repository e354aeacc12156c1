"""Run tables: train what is missing, go on with what was cut, predict, score, write.

    OUT/runs/<key>/            run folders; equal runs of rows and tables are one folder
    OUT/runs/<key>.done        written when a run has reached its last step
    OUT/predictions/<key>-<split>-<limit>.jsonl
    OUT/table2.md .csv .html   written again after every row, so that a cut table is a table too

A kill loses at most the steps since the last checkpoint: the same command goes on. A row that
cannot run (a preset or a store that is missing, a run that failed) is listed with its reason, and
the others run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lapse.config import load_config, preset_names
from lapse.core.tokenizer import Tokenizer
from lapse.core.types import Prediction
from lapse.data.store.store import open_store
from lapse.evaluation.evaluate import evaluate
from lapse.evaluation.predictions.jsonl import check_same_samples, read_predictions
from lapse.training.run_folder import METRICS, build_model, skip_pretrained_weights
from lapse.workflows.paper_tables.jobs import (
    Bar,
    Say,
    TableOptions,
    null_progress,
    plan_jobs,
    prediction_request,
)
from lapse.workflows.paper_tables.output import write_cases, write_scores_table
from lapse.workflows.paper_tables.results import Curve, Found, RowResult
from lapse.workflows.paper_tables.scheduler import work
from lapse.workflows.paper_tables.spec import Data, PlannedRow, RowSpec, TableSpec, plan, run_folder

__all__ = ["TableOptions", "count_parameters", "open_stores", "run_table", "run_tables"]

Scored = tuple[list[Prediction], Found]


def run_table(
    name: str,
    spec: TableSpec,
    data: Sequence[Path],
    out: Path,
    options: TableOptions | None = None,
    *,
    say: Say = lambda _: None,
    bar: Bar = null_progress,
    provenance: Mapping[str, str] | None = None,
) -> list[RowResult]:
    """`run_tables` for one table."""
    found = run_tables({name: spec}, data, out, options, say=say, bar=bar, provenance=provenance)
    return found[name]


def run_tables(
    specs: Mapping[str, TableSpec],
    data: Sequence[Path],
    out: Path,
    options: TableOptions | None = None,
    *,
    say: Say = lambda _: None,
    bar: Bar = null_progress,
    provenance: Mapping[str, str] | None = None,
) -> dict[str, list[RowResult]]:
    """Run every row of tables and write them; the same call again goes on or just writes.

    Args:
        specs: name of the files that are written ("table2") ->
        `lapse.workflows.paper_tables.spec.read_table`.
        data: stores, each of another image side.
        out: the folder of all tables and runs.
        options: scale, rows, seeds, split, processes.
        say: receives one line per event.
        bar: title -> a progress bar.
        provenance: further facts for the foot of the pages.

    Raises:
        ValueError: two stores of one size, a row that is not there, or no store.
        SystemExit: 143 after SIGTERM or SIGINT, with a checkpoint at the step's edge.
    """
    chosen = options or TableOptions()
    stores = open_stores(data)
    facts = {
        **open_store(next(iter(stores.values())).path).info.provenance(),
        "scale": chosen.scale,
        "seeds": str(chosen.seeds),
        "split": chosen.split,
        **(provenance or {}),
    }
    known: dict[Path, Scored] = {}
    tables = []
    for name, spec in specs.items():
        rows = plan(spec, out, stores, scale=chosen.scale, seeds=chosen.seeds, only=chosen.only)
        tables.append(_Table(name, spec, rows, _Place(out, stores, chosen), facts, known, say))
    outcomes: dict[str, str] = {}
    for table in tables:
        table.finish(outcomes)
    jobs = plan_jobs([(table.spec, table.planned) for table in tables], out, chosen)
    for key, reason in work(jobs, chosen.processes, say=say, bar=bar):
        outcomes[key] = reason
        for table in tables:
            table.finish(outcomes)
    return {table.name: list(table.results().values()) for table in tables}


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
            config = skip_pretrained_weights(load_config(preset, changes))
            model = build_model(config, Tokenizer())
        every = list(model.parameters())
        trained = sum(item.numel() for item in every if item.requires_grad)
        found.append((sum(item.numel() for item in every), trained))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a table's files lie, and how it is run."""

    out: Path
    stores: Mapping[int, Data]
    options: TableOptions


class _Table:
    """A table while its runs come in: rows are scored once, when their last run is over."""

    def __init__(
        self,
        name: str,
        spec: TableSpec,
        planned: Sequence[PlannedRow],
        place: _Place,
        facts: Mapping[str, str],
        known: dict[Path, Scored],
        say: Say,
    ) -> None:
        self.name, self.spec, self.planned, self.place = name, spec, planned, place
        self.facts, self.known, self.say = facts, known, say
        self.rows: dict[str, tuple[list[Prediction], RowResult]] = {}

    def finish(self, outcomes: Mapping[str, str]) -> None:
        """Score the rows whose runs are all over, and write the table where there were any."""
        is_new = False
        for key in dict.fromkeys(item.row.key for item in self.planned):
            chain = [item for item in self.planned if item.row.key == key]
            runs = [run.key for item in chain for run in item.runs]
            if key in self.rows or any(run not in outcomes for run in runs):
                continue
            self.rows[key] = self._row(chain, outcomes)
            is_new = True
            title = self.spec.title.split(":")[0]
            self.say(f"{title}, row {key}: {self.results()[key].reason or 'done'}")
        if is_new:
            self._write()

    def results(self) -> dict[str, RowResult]:
        """The rows that are over, in the order of the table; other samples are a reason."""
        found: dict[str, RowResult] = {}
        truth: list[Prediction] = []
        for row in self.spec.rows:
            if row.key not in self.rows:
                continue
            said, result = self.rows[row.key]
            try:
                if truth and said:
                    check_same_samples(truth, said, row.key)
            except ValueError as error:
                result = RowResult(result.row, reason=str(error))
            truth = truth or said
            found[row.key] = result
        return found

    def _row(
        self, chain: Sequence[PlannedRow], outcomes: Mapping[str, str]
    ) -> tuple[list[Prediction], RowResult]:
        """All seeds of one row: the predictions of the first, and the scores of each."""
        row, out = chain[0].row, self.place.out
        size = count_parameters(row)
        found = []
        try:
            for item in chain:
                failed = next((outcomes[run.key] for run in item.runs if outcomes[run.key]), "")
                if item.missing or failed:
                    raise ValueError(item.missing or failed)
                found.append(self._scored(item))
        except ValueError as error:
            return [], RowResult(row, parameters=size, reason=str(error))
        said = found[0][0]
        patients = {
            task: tuple(item.patient for item in said if item.task == task)
            for task in dict.fromkeys(item.task for item in said)
        }
        curves = {run.config.name: read_curve(run_folder(out, run.key)) for run in chain[0].runs}
        return said, RowResult(row, tuple(item[1] for item in found), patients, curves, size)

    def _scored(self, item: PlannedRow) -> Scored:
        """What a row's last run said and what it is worth; once for all tables."""
        path = prediction_request(self.spec, item.runs[-1], self.place.out, self.place.options).path
        if path not in self.known:
            said = read_predictions(path)
            by_task = evaluate(said)
            self.known[path] = (
                said,
                {f"{task}/{name}": s for task, rows in by_task.items() for name, s in rows.items()},
            )
        return self.known[path]

    def _write(self) -> None:
        results = self.results()
        stem = self.place.out / self.name
        if self.spec.kind == "scores":
            write_scores_table(stem, self.spec, list(results.values()), self.facts)
            return
        from lapse.workflows.paper_tables.examples import choose_examples

        said = {key: part for key, (part, _) in self.rows.items() if not results[key].reason}
        truth = next((said[key] for key in results if said.get(key)), [])
        store = open_store(next(iter(self.place.stores.values())).path)
        answers = {key: {item.id: item.prediction for item in said.get(key, ())} for key in results}
        examples = choose_examples(truth, store, self.spec.cases)
        write_cases(stem, self.spec, list(results.values()), answers, examples, self.facts)


def read_curve(folder: Path) -> Curve:
    """(step, held-out loss) of a run, from its metrics.jsonl."""
    points = []
    for line in (folder / METRICS).read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        if "validate/loss" in values:
            points.append((int(values["step"]), float(values["validate/loss"])))
    return tuple(points)
