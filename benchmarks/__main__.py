"""`lapse bench`: measured claims, ours against a stated peer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import commit, say


def bench(
    names: Annotated[list[str], typer.Argument(help="Rows by name, or all, or gpu.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything here.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="gpu: measured steps of each stage.")] = 200,
    images: Annotated[int, typer.Option(min=1, help="gpu: images of a pretraining step.")] = 32,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="gpu: a.b=value for both presets.")
    ] = None,
) -> None:
    """Measure the rows of docs/explanation/performance.md on this machine."""
    from benchmarks.table import machine, markdown, run_rows, write_json

    began = {"commit": commit()}  # what runs, whatever is committed meanwhile
    if names == ["gpu"]:
        from benchmarks.gpu import as_json, run_gpu

        stages = run_gpu(say, steps=steps, images=images, overrides=overrides or ())
        if json_file is not None:
            facts = {**machine(), **began}
            text = json.dumps({"facts": facts, "stages": as_json(stages)}, indent=1)
            json_file.write_text(text + "\n", encoding="utf-8")
        return
    outcomes = run_rows(names, say)
    facts = {**machine(), **began}
    typer.echo(", ".join(f"{key} {value}" for key, value in facts.items()))
    seconds = sum(outcome.seconds for outcome in outcomes)
    busy = sum(outcome.cpu_seconds for outcome in outcomes)
    typer.echo(f"{seconds:.0f} s, of which {busy:.0f} s computing")
    typer.echo(markdown(outcomes))
    if json_file is not None:
        write_json(json_file, outcomes, facts)


if __name__ == "__main__":
    typer.run(bench)
