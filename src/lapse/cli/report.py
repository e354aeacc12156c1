"""`lapse report`: predictions and scores -> one HTML page."""

from __future__ import annotations

import logging
from dataclasses import replace
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
    changes: Annotated[
        Path | None,
        typer.Option(help="Changes of another extractor (JSON lines), as for lapse evaluate."),
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
    from lapse.core.files import check_output_file, write_text
    from lapse.evaluation.html.evaluation_page import EvaluationReport, render_evaluation_report
    from lapse.evaluation.readers import check_same_reader, scored_reader, with_changes
    from lapse.evaluation.references import ReferenceSource, check_same_references
    from lapse.evaluation.scores_file import default_path, read_scores
    from lapse.metrics.abstention import read_threshold

    path = out or predictions.with_name("report.html")
    check_output_file(path)
    scores_path = scores or default_path(predictions)
    has_scores = scores is not None or scores_path.is_file()
    if not has_scores:
        logger.warning("no scores on the page: run lapse evaluate first, or give --scores")
    values = read_scores(scores_path, predictions) if has_scores else {}
    options = references.to_options()
    if references.reader is None:
        options = replace(options, reader=scored_reader(values))
    source = ReferenceSource(options)
    answers = source.read_predictions(predictions, is_checked=False)
    check_same_references(values, answers)
    if changes is not None:
        answers = with_changes(answers, changes, predictions.stem)
    check_same_reader(values, options.reader, changes)
    facts = {f"{key} (page)": value for key, value in program_facts().items()}
    page = EvaluationReport(
        title=f"lapse evaluation: {predictions.name}",
        predictions=answers,
        scores=values,
        store=source.store,
        threshold=None if threshold is None else read_threshold(threshold),
        facts=facts,
        system=predictions.stem,
        num_cases=num_cases,
    )
    write_text(path, render_evaluation_report(page))
    logger.info("HTML report in %s", path)
