"""`lapse evaluate`: predictions file -> scores."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from lapse.cli.console import program_facts
from lapse.cli.references import ReferenceGroup

if TYPE_CHECKING:
    from lapse.core.types import Score
    from lapse.evaluation.evaluate import EvaluateOptions
    from lapse.evaluation.evaluate_file import EvaluationResult

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileOptions:
    """Further files of the same system or the same samples: fields of `EvaluateFileOptions`."""

    panel: ClassVar[str] = "Further files"

    compare_with: Annotated[
        list[Path],
        typer.Option(help="Predictions of another system on the same samples; may be repeated."),
    ] = field(default_factory=list)
    probes: Annotated[
        list[Path],
        typer.Option(
            "--probe",
            help="Predictions of the same system under a probe; adds consistency scores; may be "
            "repeated.",
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
    changes: Annotated[
        Path | None,
        typer.Option(
            help="Changes of another extractor for these predictions (JSON lines), instead of a "
            "reader."
        ),
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
    radeval: Annotated[
        list[str],
        typer.Option(
            help="Metric of RadEval, such as radgraph (RadGraph-F1); may be repeated. Needs the "
            "package and its weights; nothing is downloaded."
        ),
    ] = field(default_factory=list)
    radeval_python: Annotated[
        str,
        typer.Option(help="Python that has RadEval.", show_default="the running one"),
    ] = ""
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
    references: ReferenceGroup,
    files: FileOptions,
    metrics: MetricOptions,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Scores file to write.",
            show_default="STEM.scores.json in the folder of the predictions",
        ),
    ] = None,
    write_joined: Annotated[
        Path | None,
        typer.Option(help="File to write the predictions with their references to (jsonl)."),
    ] = None,
) -> None:
    """Score a predictions file with intervals by patient, image-blind baselines and subgroups."""
    from lapse.evaluation.evaluate_file import EvaluateFileOptions, evaluate_file
    from lapse.evaluation.score_tables import interval_notes

    result = evaluate_file(
        EvaluateFileOptions(
            predictions,
            out=out,
            references=references.to_options(),
            scoring=_evaluate_options(metrics),
            joined=write_joined,
            provenance=program_facts(),
            **vars(files),
        )
    )
    for task in result.scores:
        _print_task(result, task)
    for title, scores in result.reliability.items():
        _print_table(title, {result.system: scores})
        for note in interval_notes({name: score.details for name, score in scores.items()}):
            typer.echo(note)
    logger.info("scores in %s", result.path)


def _evaluate_options(metrics: MetricOptions) -> EvaluateOptions:
    from lapse.evaluation.evaluate import EvaluateOptions
    from lapse.metrics.bertscore import BertChoice
    from lapse.metrics.radeval import RadEvalChoice

    bert = None
    if metrics.bert:
        bert = BertChoice(metrics.bert, metrics.bert_layer, metrics.bert_baseline)
    radeval = RadEvalChoice(tuple(metrics.radeval), metrics.radeval_python)
    return EvaluateOptions(
        seed=metrics.seed,
        resamples=metrics.resamples,
        use_java=not metrics.no_java,
        bert=bert,
        radeval=radeval if metrics.radeval else None,
        extra_metrics=tuple(metrics.metric),
    )


def _print_task(result: EvaluationResult, task: str) -> None:
    from lapse.evaluation.score_tables import format_markdown, parts_table, table_note

    columns = result.columns(task)
    _print_table(task, columns)
    typer.echo(table_note(columns, result.provenance))
    for kind in ("finding", "region"):
        if parts := parts_table(columns, kind):
            typer.echo(f"\n{task} by {kind}\n\n{format_markdown(parts)}")
    subgroups = result.subgroups[task]
    for dimension, groups in subgroups.scores.items():
        named = {}
        for name, scores in groups.items():
            count = next((score.details["n"] for score in scores.values()), "0")
            named[f"{name} (n {count})"] = scores
        _print_table(f"{task} by {dimension}", named)
    if subgroups.hidden:
        typer.echo(f"\nhidden, fewer than 50 patients or not read: {'; '.join(subgroups.hidden)}")


def _print_table(title: str, columns: Mapping[str, Mapping[str, Score]]) -> None:
    from lapse.evaluation.score_tables import format_markdown, scores_table

    typer.echo(f"\n{title}\n\n{format_markdown(scores_table(columns))}")
