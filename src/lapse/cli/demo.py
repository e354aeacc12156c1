"""`lapse demo`: the full pipeline on simulated patients, with an HTML report."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import program_facts, progress_bar

logger = logging.getLogger(__name__)


def demo_command(
    out: Annotated[Path, typer.Argument(help="Folder for all files of the demo.")],
    *,
    patients: Annotated[int, typer.Option(min=12, help="Number of simulated patients.")] = 160,
    seed: Annotated[int, typer.Option(help="Seed of the simulation and the training runs.")] = 0,
) -> None:
    """Simulate patients, train both stages, and write a scored HTML report (a few minutes)."""
    from lapse.core.extras import install_command
    from lapse.metrics import java
    from lapse.workflows.demo.run import DemoConfig, run_demo

    use_java = True
    try:
        java.check_installed()
    except ValueError:
        command = install_command("metrics")
        logger.warning("no BLEU, METEOR, ROUGE-L and CIDEr in the report; to add them: %s", command)
        use_java = False
    config = DemoConfig(num_patients=patients, seed=seed, use_java=use_java)
    path = run_demo(out, config, progress_bar=progress_bar, facts=program_facts())
    logger.info("HTML report in %s", path)
