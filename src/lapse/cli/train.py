"""`lapse train`: either stage, from a preset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import progress_bar


def train_command(
    preset: Annotated[
        str, typer.Argument(help="Name of a preset (see lapse list presets) or a YAML file.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Changed configuration keys, such as train.steps=100."),
    ] = None,
    *,
    data: Annotated[Path, typer.Option(help="Store written by lapse prepare.")],
    out: Annotated[
        Path, typer.Option(help="Run folder; an existing run continues from its last checkpoint.")
    ],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the configuration and sizes without training."),
    ] = False,
) -> None:
    """Train a stage from a preset; the same command continues an interrupted run."""
    from lapse.config import load_config

    config = load_config(preset, overrides or [])
    if dry_run:
        from lapse.training.dry_run import dry_run as log_dry_run

        log_dry_run(config, data, out)
        return
    from lapse.training.trainer import Callbacks, train

    with progress_bar(config.name) as progress:
        train(config, data, out, callbacks=Callbacks(progress=progress))
