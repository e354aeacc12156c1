"""`lapse predict`: run -> predictions file."""

from __future__ import annotations

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
    from lapse.inference.predict import predict as run_predict
    from lapse.inference.probes import check_probe
    from lapse.training.run_folder import load_run

    target = out or run / f"predictions-{split}.jsonl"
    wanted = tuple(name.strip() for name in tasks.split(",") if name.strip()) or None
    probes = [name.strip() for name in probe.split(",") if name.strip()]
    for wished in probes:
        check_probe(wished)
    opened = load_run(run)
    rounds: list[str | None] = [*probes] if probes else [None]
    for name in rounds:
        path = target if name is None else target.with_suffix(f".{name}{target.suffix}")
        with progress_bar(f"predict {name or split}") as progress:
            rows = run_predict(
                opened,
                data,
                split,
                tasks=wanted,
                limit=limit,
                num_beams=num_beams,
                confidence=confidence,
                probe=name,
                say=say,
                progress=progress,
            )
            found = list(rows)
        write_predictions(path, found)
        say(f"{len(found)} predictions in {path}")
