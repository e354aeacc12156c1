"""`lapse predict`: run -> predictions file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import progress_bar, say


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[Path, typer.Option(help="Store written by prepare.")] = ...,  # type: ignore[assignment]
    split: Annotated[str, typer.Option(help="train, validate or test.")] = "test",
    out: Annotated[Path | None, typer.Option(help="Default: RUN/predictions-SPLIT.jsonl.")] = None,
    tasks: Annotated[str, typer.Option(help="Comma list; default: those of the run.")] = "",
    num_beams: Annotated[
        int | None, typer.Option(min=1, help="Beam width; default: the run's.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many samples.")] = None,
    confidence: Annotated[
        str, typer.Option(help="none, beam (costs nothing) or clauses: how sure of each change.")
    ] = "none",
    probe: Annotated[
        str,
        typer.Option(
            help="Comma list of swap, identity, acquisition, shuffled, blank: one file "
            "each instead of the plain one."
        ),
    ] = "",
) -> None:
    """Write the answers of a run to a predictions file; with --probe, those under probes."""
    from lapse.evaluation.evaluate import write_predictions
    from lapse.inference.predict import PredictOptions
    from lapse.inference.predict import predict as run_predict
    from lapse.inference.probes import check_probe
    from lapse.training.run_folder import load_run

    target = out or run / f"predictions-{split}.jsonl"
    probes = [name.strip() for name in probe.split(",") if name.strip()]
    for probe_name in probes:
        check_probe(probe_name)
    loaded = load_run(run)
    options = PredictOptions(
        tasks=tuple(name.strip() for name in tasks.split(",") if name.strip()),
        limit=limit,
        num_beams=num_beams,
        confidence=confidence,
    )
    runs: list[str | None] = [*probes] or [None]
    for name in runs:
        path = target if name is None else target.with_suffix(f".{name}{target.suffix}")
        probed = replace(options, probe=name)
        with progress_bar(f"predict {name or split}") as progress:
            predictions = list(run_predict(loaded, data, split, probed, progress=progress))
        write_predictions(path, predictions)
        say(f"{len(predictions)} predictions in {path}")
