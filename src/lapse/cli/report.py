"""`lapse report`: predictions and scores -> one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import provenance, say


def report(
    predictions: Annotated[Path, typer.Argument(help="predictions.jsonl")],
    data: Annotated[
        Path | None, typer.Option(help="Store: adds images and boxes to the cases.")
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="File of lapse evaluate; default: scores.json beside it.")
    ] = None,
    threshold: Annotated[
        Path | None, typer.Option(help="File of lapse calibrate: marks what is undecided.")
    ] = None,
    cases: Annotated[int, typer.Option(min=1, help="How many cases carry images.")] = 48,
    out: Annotated[Path | None, typer.Option(help="Default: report.html beside it.")] = None,
) -> None:
    """Show scores, plots and cases with images on one page that needs no network."""
    from lapse.data.store.store import open_store
    from lapse.evaluation.evaluate import read_predictions
    from lapse.evaluation.html import Evaluation, read_scores, write_evaluation
    from lapse.metrics.abstention import read_threshold

    found = read_predictions(predictions)
    beside = scores or predictions.with_name("scores.json")
    known = read_scores(beside) if scores is not None or beside.is_file() else {}
    if not known:
        say("no scores: run lapse evaluate first, or give --scores")
    facts = {
        f"{key} (page)": value
        for key, value in provenance(data=None, seed=0, n=len(found)).items()
        if key in {"command", "version", "commit"}
    }
    page = Evaluation(
        title=f"lapse evaluation: {predictions.name}",
        predictions=found,
        scores=known,
        store=open_store(data) if data is not None else None,
        threshold=read_threshold(threshold) if threshold is not None else None,
        facts=facts,
        system=predictions.stem,
        cases=cases,
    )
    say(f"page in {write_evaluation(out or predictions.with_name('report.html'), page)}")
