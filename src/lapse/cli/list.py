"""`lapse list`: the names that other commands and configurations accept."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from lapse.core.registry import TABLES

Kind = Literal[
    "presets", "tasks", "pretraining", "systems", "datasets", "releases", "layouts", "metrics"
]


def list_command(kind: Annotated[Kind, typer.Argument(help="What to list.")]) -> None:
    """List presets, tasks, models, data sets, layouts or metrics, each with a short description."""
    descriptions = _descriptions(kind)
    width = max(len(name) for name in descriptions)
    for name, description in descriptions.items():
        typer.echo(f"{name:{width}}  {description}".rstrip())


def _descriptions(kind: Kind) -> dict[str, str]:
    if kind == "presets":
        from lapse.config import preset_description, preset_names

        return {name: preset_description(name) for name in preset_names()}
    table = TABLES["vqa" if kind == "systems" else kind]
    return {name: plugin.description for name, plugin in table.items()}
