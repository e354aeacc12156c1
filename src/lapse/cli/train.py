"""`lapse train`: either stage, from a preset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import progress_bar, say


def train(
    preset: Annotated[str, typer.Argument(help="Name of a preset, or a YAML file.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="a.b=value ...")] = None,
    data: Annotated[Path, typer.Option(help="Store written by prepare.")] = ...,  # type: ignore[assignment]
    out: Annotated[Path, typer.Option(help="Run folder; an existing one is resumed.")] = ...,  # type: ignore[assignment]
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run.")] = False,
) -> None:
    """Train either stage; the same command again continues where it stopped."""
    from lapse.config import load_config

    config = load_config(preset, overrides or [])
    from lapse.training.trainer import train as run

    if dry_run:
        run(config, data, out, say=say, dry_run=True)
        return
    with progress_bar(config.name) as progress:
        run(config, data, out, say=say, progress=progress)
