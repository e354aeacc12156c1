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
    if kind == "presets":
        from lapse.config import preset_description, preset_names

        descriptions = {name: preset_description(name) for name in preset_names()}
    else:
        table = TABLES["vqa" if kind == "systems" else kind]
        descriptions = {name: plugin.description for name, plugin in table.items()}
    width = max(len(name) for name in descriptions)
    for name, description in descriptions.items():
        typer.echo(f"{name:{width}}  {description}".rstrip())
