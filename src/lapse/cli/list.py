"""`lapse list`: the names that other commands accept."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from lapse.core import registry

Kind = Literal["presets", "tasks", "pretraining", "vqa", "datasets", "metrics"]


def list_command(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
) -> None:
    """List presets, tasks, pretraining methods, VQA systems, datasets or metrics."""
    rows = _presets() if kind == "presets" else _plugins(kind)
    width = max(len(name) for name in rows)
    for name, description in rows.items():
        typer.echo(f"{name:{width}}  {description}".rstrip())


def _presets() -> dict[str, str]:
    from lapse.config import preset_description, preset_names

    return {name: preset_description(name) for name in preset_names()}


def _plugins(table: str) -> dict[str, str]:
    return {name: plugin.description for name, plugin in registry.TABLES[table].items()}
