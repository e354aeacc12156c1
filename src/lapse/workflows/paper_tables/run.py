"""Run tables: train what is missing, resume interrupted runs, predict, score, write.

    OUT/runs/<key>/            run folders, shared by equal runs of rows and tables
    OUT/runs/<key>.done        marks a run as trained to its last step
    OUT/predictions/<key>-<split>-<limit>.jsonl
    OUT/table2.md .csv .html   written again after every row, so that they are always complete

The same command continues after a kill; at most the steps since the last checkpoint are lost. A
row that cannot run (a preset or a store is missing, a run failed) is listed with its reason, and
the other rows run.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from lapse.config import load_config, preset_names
from lapse.core.files import writer_lock
from lapse.core.progress import ProgressBar, no_progress_bar
from lapse.core.tokenizer import Tokenizer
from lapse.core.types import Prediction
from lapse.data.datasets.plain_info import REMARK
from lapse.data.store.store import open_store
from lapse.evaluation.evaluate import EvaluateOptions, Evaluator
from lapse.evaluation.html.run_page import ModelAnswer
from lapse.evaluation.predictions.jsonl import check_same_samples, read_predictions
from lapse.training.metrics_log import read_curve
from lapse.training.run_folder import build_model, read_facts, skip_pretrained_weights
from lapse.workflows.paper_tables.examples import choose_examples
from lapse.workflows.paper_tables.jobs import plan_jobs, prediction_request
from lapse.workflows.paper_tables.output import write_examples_table, write_scores_table
from lapse.workflows.paper_tables.plan import PlannedRow, StoreRef, TableOptions, plan, run_folder
from lapse.workflows.paper_tables.results import RowResult, Scores
from lapse.workflows.paper_tables.scheduler import run_jobs
from lapse.workflows.paper_tables.settings import check_settings
from lapse.workflows.paper_tables.spec import RowSpec, TableSpec

logger = logging.getLogger(__name__)


def run_tables(
    specs: Mapping[str, TableSpec],
    data: Sequence[Path],
    out: Path,
    options: TableOptions | None = None,
    *,
    progress_bar: ProgressBar = no_progress_bar,
) -> dict[str, list[RowResult]]:
    """Run every row of tables and write the tables; the same call again reuses finished runs.

    Args:
        specs: name of the files to write ("table2") -> table.
        data: stores with different image sizes.
        out: the folder of all tables and runs.
        options: scale, rows, seeds, split, processes, provenance.
        progress_bar: title -> a progress bar.

    Raises:
        ValueError: two stores of one image size, a store of the wrong size, an unknown row, a
            setting that no run has, no store, or another process that writes one of the tables.
        SystemExit: 143 after a stop signal (SIGTERM, SIGINT, SIGHUP, SIGUSR1), with a checkpoint of
            the last step.
    """
    options = options or TableOptions()
    stores = open_stores(data)
    planned = plan_tables(specs, out, stores, options)
    runner = _TableRunner(stores, out, options)
    for name, spec in specs.items():
        runner.tables[name] = _Table(spec, planned[name])
    with ExitStack() as stack:
        for name in specs:
            stack.enter_context(writer_lock(out / f"{name}.lock", out / name))
        runner.finish_rows()
        jobs = plan_jobs([(spec, planned[name]) for name, spec in specs.items()], out, options)
        for key, reason in run_jobs(jobs, options.processes, progress_bar=progress_bar):
            runner.reasons[key] = reason
            runner.finish_rows()
    return {name: list(table.results().values()) for name, table in runner.tables.items()}


def plan_tables(
    specs: Mapping[str, TableSpec],
    out: Path,
    stores: Mapping[int, StoreRef],
    options: TableOptions,
) -> dict[str, list[PlannedRow]]:
    """The rows of every table, before anything is trained.

    Raises:
        ValueError: a run or a store has an image size without a counterpart, or a setting
            belongs to no run.
    """
    planned = {name: plan(spec, out, stores, options) for name, spec in specs.items()}
    for name, rows in planned.items():
        if missing := {row.row.key: row.missing for row in rows if row.lacks_store}:
            raise ValueError(
                f"{name}, rows {', '.join(missing)}: {next(iter(missing.values()))}, or choose "
                "other rows with --row"
            )
    runs = [run for rows in planned.values() for row in rows for run in row.runs]
    encoders = [run.config.model.get("encoder", {}) for run in runs]
    sizes = {encoder.get("image_size") for encoder in encoders} - {None}
    unused = sorted(stores.keys() - sizes) if sizes else []
    if unused:
        raise ValueError(
            f"{stores[unused[0]].path} holds {unused[0]} px images, and the runs read "
            f"{', '.join(f'{size} px' for size in sorted(sizes))}: remove it from --data, or "
            "prepare a store of that size"
        )
    check_settings(options.settings, [run.config for run in runs])
    return planned


def open_stores(data: Sequence[Path]) -> dict[int, StoreRef]:
    """Stores by their image size in pixels.

    Raises:
        ValueError: no store, or two of one image size.
    """
    stores: dict[int, StoreRef] = {}
    for path in data:
        info = open_store(path).info
        if info.size in stores:
            raise ValueError(
                f"{stores[info.size].path} and {path} both hold {info.size} px images: pass one "
                "store of each size"
            )
        stores[info.size] = StoreRef(path, info.fingerprint)
    if not stores:
        raise ValueError("a table needs data: pass a store with --data")
    return stores


def count_parameters(row: RowSpec) -> tuple[tuple[int, int], ...]:
    """All and trained parameters of the model of each run at the paper's scale.

    () where a preset is missing. The models are built without memory for their weights.
    """
    if not set(row.paper) <= set(preset_names()):
        return ()
    changes = [*row.changes.get("all", ()), *row.paper_changes.get("all", ())]
    counts = []
    for preset in row.paper:
        with torch.device("meta"):
            config = skip_pretrained_weights(load_config(preset, changes))
            model = build_model(config, Tokenizer())
        sizes = [(item.numel(), item.requires_grad) for item in model.parameters()]
        counts.append((sum(n for n, _ in sizes), sum(n for n, is_trained in sizes if is_trained)))
    return tuple(counts)


@dataclass(frozen=True, slots=True)
class _Table:
    """A table with the rows that are finished."""

    spec: TableSpec
    planned: Sequence[PlannedRow]
    rows: dict[str, tuple[list[Prediction], RowResult]] = field(default_factory=dict)

    def results(self) -> dict[str, RowResult]:
        """The finished rows in the order of the table; a row with other samples has a reason."""
        results: dict[str, RowResult] = {}
        first: list[Prediction] = []
        for row in self.spec.rows:
            if row.key not in self.rows:
                continue
            predictions, result = self.rows[row.key]
            try:
                if first and predictions:
                    check_same_samples(first, predictions, row.key)
            except ValueError as error:
                result = RowResult(result.row, reason=str(error))
            first = first or predictions
            results[row.key] = result
        return results


class _TableRunner:
    """Scores rows as their runs finish, and writes the tables.

    `reasons`: key of a finished run -> reason of its failure, "" after success.
    """

    def __init__(self, stores: Mapping[int, StoreRef], out: Path, options: TableOptions) -> None:
        self.stores, self.out, self.options = stores, out, options
        self.store = open_store(next(iter(stores.values())).path)
        self.facts = {
            **self.store.info.provenance(),
            "scale": options.scale,
            "seeds": str(options.seeds),
            "split": options.split,
            "GPT-2": options.language_model.description,
            **options.provenance,
        }
        self.tables: dict[str, _Table] = {}
        self.reasons: dict[str, str] = {}
        self.evaluator = Evaluator(EvaluateOptions(bert=options.bert))
        self.scored: dict[Path, tuple[list[Prediction], Scores]] = {}  # by predictions file

    def finish_rows(self) -> None:
        """Score the rows whose runs are all finished, and write their tables."""
        for name, table in self.tables.items():
            num_finished = len(table.rows)
            for key in dict.fromkeys(item.row.key for item in table.planned):
                seeds = [item for item in table.planned if item.row.key == key]
                runs = [run.key for item in seeds for run in item.runs]
                if key not in table.rows and all(run in self.reasons for run in runs):
                    table.rows[key] = self._row(table.spec, seeds)
                    logger.info("%s, row %s: %s", name, key, table.results()[key].reason or "done")
            if len(table.rows) > num_finished:
                self._write(name, table)

    def _row(
        self, spec: TableSpec, seeds: Sequence[PlannedRow]
    ) -> tuple[list[Prediction], RowResult]:
        """All seeds of one row: the predictions of the first, and the scores of each."""
        row, runs = seeds[0].row, seeds[0].runs
        num_parameters = count_parameters(row)
        scored = []
        try:
            for item in seeds:
                reasons = [item.missing, *(self.reasons[run.key] for run in item.runs)]
                if reason := next(filter(None, reasons), ""):
                    raise ValueError(reason)
                request = prediction_request(spec, item, self.out, self.options)
                scored.append(self._scored(request.path))
        except ValueError as error:
            return [], RowResult(row, parameters=num_parameters, reason=str(error))
        predictions = scored[0][0]
        patients = {
            task: tuple(item.patient for item in predictions if item.task == task)
            for task in dict.fromkeys(item.task for item in predictions)
        }
        curves = {
            run.config.name: read_curve(run_folder(self.out, run.key), "validate/loss")
            for run in runs
        }
        scores = tuple(scores for _, scores in scored)
        return predictions, RowResult(row, scores, patients, curves, num_parameters)

    def _scored(self, path: Path) -> tuple[list[Prediction], Scores]:
        """A predictions file with its scores, evaluated once for all tables."""
        if path not in self.scored:
            predictions = read_predictions(path)
            scores = {
                f"{task}/{name}": score
                for task, of_task in self.evaluator(predictions).items()
                for name, score in of_task.items()
            }
            self.scored[path] = predictions, scores
        return self.scored[path]

    def _write(self, name: str, table: _Table) -> None:
        results = table.results()
        rows = list(results.values())
        if table.spec.kind == "scores":
            write_scores_table(self.out / name, table.spec, rows, self.facts, self._remarks(table))
            return
        answers = {
            key: {item.id: item.prediction for item in predictions if not results[key].reason}
            for key, (predictions, _) in table.rows.items()
        }
        truth = next((table.rows[key][0] for key in results if answers[key]), [])
        examples = []
        for key, example in choose_examples(truth, self.store, table.spec.cases).items():
            shown = []
            for row in rows:
                answer = answers[row.row.key].get(key, f"(not run: {row.reason})")
                is_right = answer.strip() == example.truth.strip()
                shown.append(ModelAnswer(row.row.name, answer, is_right))
            examples.append(replace(example, answers=tuple(shown)))
        facts = self.facts | {"remarks": " ".join(self._remarks(table))}
        write_examples_table(self.out / name, table.spec, rows, examples, facts)

    def _remarks(self, table: _Table) -> tuple[str, ...]:
        """What a reader has to know about the scores."""
        remarks = [f"Labels: {self.facts[REMARK]}."] if REMARK in self.facts else []
        remarks.append(f"GPT-2 starts from {self.options.language_model.description}.")
        columns = table.spec.columns.values()
        if self.options.bert is None and any("BERTScore" in name for name in columns):
            remarks.append("BERTScore is not computed: give its model with --bert.")
        runs = {run.key for row in table.planned for run in row.runs}
        folders = [run_folder(self.out, key) for key in runs if self.reasons.get(key) == ""]
        counts = Counter(str(read_facts(folder).get("precision", "auto")) for folder in folders)
        trained = ", ".join(f"{counts[kind]} in {kind}" for kind in sorted(counts))
        return (*remarks, f"Runs: {trained or 'none finished'}.")
