"""`lapse demo`: the full pipeline on simulated patients, with an HTML report."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import commit, progress_bar, say

logger = logging.getLogger(__name__)


def demo_command(
    out: Annotated[Path, typer.Argument(help="Folder for all files of the demo.")],
    *,
    patients: Annotated[int, typer.Option(min=12, help="Number of simulated patients.")] = 160,
    seed: Annotated[int, typer.Option(help="Seed of the simulation and the training runs.")] = 0,
) -> None:
    """Simulate patients, train both stages, and write a scored HTML report (a few minutes)."""
    from lapse.workflows.demo.run import DemoConfig, run_demo

    page = run_demo(
        out, DemoConfig(patients=patients, seed=seed), say=say, bar=progress_bar, commit=commit()
    )
    logger.info("HTML report in %s", page)
