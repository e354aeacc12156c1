"""`lapse report`: predictions and scores -> one HTML page."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import program_facts
from lapse.cli.references import ReportGroup

logger = logging.getLogger(__name__)


def report_command(
    predictions: Annotated[
        Path, typer.Argument(help="Predictions file: jsonl, CSV or COCO results (JSON).")
    ],
    references: ReportGroup,
    *,
    scores: Annotated[
        Path | None,
        typer.Option(
            help="Scores file written by lapse evaluate or lapse compare.",
            show_default="STEM.scores.json in the folder of the predictions",
        ),
    ] = None,
    threshold: Annotated[
        Path | None,
        typer.Option(help="Threshold file of lapse calibrate; marks undecided answers."),
    ] = None,
    num_cases: Annotated[
        int, typer.Option("--cases", min=1, help="Number of answers shown with their images.")
    ] = 48,
    out: Annotated[
        Path | None,
        typer.Option(
            help="HTML file to write.",
            show_default="report.html in the folder of the predictions",
        ),
    ] = None,
) -> None:
    """Write one self-contained HTML page with scores, plots and answers."""
    from lapse.evaluation.html import EvaluationReport, write_evaluation_report
    from lapse.evaluation.references import ReferenceSource
    from lapse.evaluation.scores_file import default_path, read_scores
    from lapse.metrics.abstention import read_threshold

    source = ReferenceSource(references.to_options())
    answers = source.read_predictions(predictions, is_checked=False)
    scores_path = scores or default_path(predictions)
    has_scores = scores is not None or scores_path.is_file()
    if not has_scores:
        logger.warning("no scores on the page: run lapse evaluate first, or give --scores")
    facts = {f"{key} (page)": value for key, value in program_facts().items()}
    page = EvaluationReport(
        title=f"lapse evaluation: {predictions.name}",
        predictions=answers,
        scores=read_scores(scores_path, predictions) if has_scores else {},
        store=source.store,
        threshold=None if threshold is None else read_threshold(threshold),
        facts=facts,
        system=predictions.stem,
        num_cases=num_cases,
    )
    path = write_evaluation_report(out or predictions.with_name("report.html"), page)
    logger.info("HTML report in %s", path)
