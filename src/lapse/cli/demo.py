"""`lapse demo`: from nothing to a report on simulated patients."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import commit, progress_bar, say


def demo(
    out: Annotated[Path, typer.Argument(help="Folder for everything that the demo makes.")],
    patients: Annotated[int, typer.Option(min=12, help="Simulated patients.")] = 160,
    seed: Annotated[int, typer.Option(help="Seed of the whole demo.")] = 0,
) -> None:
    """From nothing to a scored, illustrated report on simulated patients."""
    from lapse.workflows.demo.run import DemoConfig, run_demo

    report = run_demo(
        out, DemoConfig(patients=patients, seed=seed), say=say, bar=progress_bar, commit=commit()
    )
    say(f"report: {report}")
