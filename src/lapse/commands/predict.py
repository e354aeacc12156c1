"""`lapse predict`: run -> predictions file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lapse.terminal import progress_bar, say


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[Path, typer.Option(help="Store written by prepare.")] = ...,  # type: ignore[assignment]
    split: Annotated[str, typer.Option(help="train, validate or test.")] = "test",
    out: Annotated[Path | None, typer.Option(help="Default: RUN/predictions-SPLIT.jsonl.")] = None,
    tasks: Annotated[str, typer.Option(help="Comma list; default: those of the run.")] = "",
    beams: Annotated[
        int | None, typer.Option(min=1, help="Beam width; default: the run's.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many samples.")] = None,
) -> None:
    """Write the answers of a run to a predictions file."""
    from lapse.evaluate import write_predictions
    from lapse.predict import predict as run_predict

    target = out or run / f"predictions-{split}.jsonl"
    wanted = tuple(name.strip() for name in tasks.split(",") if name.strip()) or None
    with progress_bar("predict") as progress:
        found = list(
            run_predict(run, data, split, tasks=wanted, limit=limit, beams=beams, progress=progress)
        )
    write_predictions(target, found)
    say(f"{len(found)} predictions in {target}")
