"""`lapse evaluate`: predictions file -> scores."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from lapse.cli.references import ReferenceOptions, ReferenceSource

if TYPE_CHECKING:
    from lapse.core.types import Prediction, Score
    from lapse.evaluation.evaluate import EvaluateOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileOptions:
    """Further files of the same system or the same samples."""

    panel: ClassVar[str] = "Further files"

    compare_with: Annotated[
        list[Path],
        typer.Option(help="Predictions of another system on the same samples; may be repeated."),
    ] = field(default_factory=list)
    probe: Annotated[
        list[Path],
        typer.Option(
            help="Predictions of the same system under a probe; adds consistency scores; may be "
            "repeated."
        ),
    ] = field(default_factory=list)
    threshold: Annotated[
        Path | None, typer.Option(help="Threshold file of lapse calibrate; adds abstention scores.")
    ] = None
    gold: Annotated[
        Path | None,
        typer.Option(help="Predictions of the same system on gold boxes; adds columns."),
    ] = None
    patients: Annotated[
        Path | None,
        typer.Option(help="patients.csv[.gz] of MIMIC-IV; adds subgroups by sex and age."),
    ] = None
    groups: Annotated[
        Path | None,
        typer.Option(help="CSV with study_id[, ref_id] and one column per further subgroup."),
    ] = None


@dataclass(frozen=True)
class MetricOptions:
    """Which metrics are computed, and how."""

    panel: ClassVar[str] = "Metrics"

    metric: Annotated[
        list[str],
        typer.Option(
            help="Further metric for every task, by name or as module:Class; may be repeated."
        ),
    ] = field(default_factory=list)
    no_java: Annotated[
        bool,
        typer.Option(
            "--no-java", help="Leave out BLEU, METEOR, ROUGE-L and CIDEr, which need Java."
        ),
    ] = False
    bert: Annotated[
        str,
        typer.Option(help="Model for BERTScore: a folder, or hub id org/name@<40 hex digits>."),
    ] = ""
    bert_layer: Annotated[
        int | None,
        typer.Option(
            help="Layer of the BERTScore model.", show_default="at three quarters of its depth"
        ),
    ] = None
    bert_baseline: Annotated[
        float | None, typer.Option(help="BERTScore of unrelated texts, to rescale with.")
    ] = None
    seed: Annotated[
        int, typer.Option(help="Seed of the intervals and of random baseline answers.")
    ] = 0
    resamples: Annotated[
        int, typer.Option(min=100, help="Number of bootstrap resamples of the patients.")
    ] = 2000


def evaluate_command(
    predictions: Annotated[
        Path, typer.Argument(help="Predictions file: jsonl, CSV or COCO results (JSON).")
    ],
    references: ReferenceOptions,
    files: FileOptions,
    metrics: MetricOptions,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Scores file to write.",
            show_default="scores.json in the folder of the predictions",
        ),
    ] = None,
) -> None:
    """Score a predictions file with intervals by patient, image-blind baselines and subgroups."""
    from lapse.evaluation.evaluate import evaluate, plain_scores, task_metrics, write_scores
    from lapse.evaluation.predictions.jsonl import in_order_of, read_predictions
    from lapse.evaluation.reliability import reliability_scores
    from lapse.evaluation.score_tables import format_markdown, parts_table, scores_table, table_note
    from lapse.metrics.abstention import read_threshold

    options = _evaluate_options(metrics)
    source = ReferenceSource(references, metrics.seed)
    questions = source.read_questions()
    answers = source.read_predictions(predictions, questions)
    columns: dict[str, list[Prediction]] = {predictions.stem: answers}
    for path in files.compare_with:
        others = source.read_predictions(path, questions)
        columns[str(path)] = in_order_of(answers, others, str(path))
    columns |= source.baselines(answers)
    if files.gold is not None:
        gold = source.read_predictions(files.gold, [])
        columns |= {f"gold: {files.gold.stem}": gold}
        columns |= {f"gold: {name}": rows for name, rows in source.baselines(gold).items()}
        tasks, gold_tasks = ({item.task for item in part} for part in (answers, gold))
        if extra := ", ".join(sorted(gold_tasks - tasks)):
            logger.info(
                "%s: %s only in scores.json, because %s has no such task",
                files.gold.name,
                extra,
                predictions.name,
            )
    tasks = {item.task for rows in columns.values() for item in rows}
    chosen = {task: (*task_metrics(task, options), *metrics.metric) for task in tasks}
    scores = {name: evaluate(rows, chosen, options=options) for name, rows in columns.items()}
    system_scores = scores.pop(predictions.stem)
    probes = [item for path in files.probe for item in read_predictions(path)]
    threshold = None if files.threshold is None else read_threshold(files.threshold)
    reliability = reliability_scores(answers, probes, threshold, seed=metrics.seed)
    facts = source.facts(len(answers))
    more: dict[str, Any] = {"subgroups": {}, "hidden subgroups": {}}
    for task, values in system_scores.items():
        table = {predictions.stem: values}
        table |= {name: other[task] for name, other in scores.items() if task in other}
        typer.echo(f"\n{task}\n\n{format_markdown(scores_table(table))}")
        typer.echo(table_note(table, facts))
        for kind in ("finding", "region"):
            if parts := parts_table(table, kind):
                typer.echo(f"\n{task} by {kind}\n\n{format_markdown(parts)}")
        of_task = [item for item in answers if item.task == task]
        shown, hidden = _subgroups(of_task, values, source, files, options)
        more["subgroups"][task] = {
            dimension: plain_scores(group_scores) for dimension, group_scores in shown.items()
        }
        more["hidden subgroups"][task] = hidden
    for name, values in reliability.items():
        typer.echo(f"\n{name}\n\n{format_markdown(scores_table({predictions.stem: values}))}")
    path = out or predictions.with_name("scores.json")
    write_scores(path, system_scores | reliability, facts, scores, more)
    logger.info("scores in %s", path)


def _evaluate_options(metrics: MetricOptions) -> EvaluateOptions:
    from lapse.evaluation.evaluate import EvaluateOptions

    bert = None
    if metrics.bert:
        from lapse.metrics.bertscore import BertChoice

        bert = BertChoice(metrics.bert, metrics.bert_layer, metrics.bert_baseline)
    return EvaluateOptions(metrics.seed, metrics.resamples, not metrics.no_java, bert)


def _subgroups(
    answers: list[Prediction],
    values: dict[str, Score],
    source: ReferenceSource,
    files: FileOptions,
    options: EvaluateOptions,
) -> tuple[dict[str, dict[str, dict[str, Score]]], tuple[str, ...]]:
    """Print the subgroups of one task; returns their scores and what is hidden."""
    from lapse.evaluation.score_tables import format_markdown, headlines, scores_table
    from lapse.evaluation.subgroups import (
        answer_labels,
        group_scores,
        patient_labels,
        store_labels,
        table_labels,
    )

    labels = answer_labels(answers)
    store = source.store()
    if store is None:
        logger.info("no subgroups by view and interval: they need --data STORE")
    else:
        labels |= store_labels(store, answers)
    if files.patients is None:
        logger.info("no subgroups by sex and age: they need --patients, a table of MIMIC-IV")
    for path, read_labels in ((files.patients, patient_labels), (files.groups, table_labels)):
        if path is not None:
            file_labels, notes = read_labels(path, answers, store)
            labels |= file_labels
            for note in notes:
                logger.info(note)
    groups = group_scores(
        headlines(values),
        [item.patient for item in answers],
        labels,
        resamples=options.resamples,
        seed=options.seed,
    )
    for dimension, part in groups.scores.items():
        named = {f"{name} (n {_sample_count(scores)})": scores for name, scores in part.items()}
        typer.echo(f"\n{answers[0].task} by {dimension}\n\n{format_markdown(scores_table(named))}")
    if groups.hidden:
        typer.echo(f"\nhidden, fewer than 50 patients: {'; '.join(groups.hidden)}")
    return groups.scores, groups.hidden


def _sample_count(scores: dict[str, Score]) -> str:
    return next((score.details["n"] for score in scores.values()), "0")
