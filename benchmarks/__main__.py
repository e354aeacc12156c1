"""`python -m benchmarks NAME ...`: the rows of docs/explanation/performance.md."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import commit, set_up_logging

logger = logging.getLogger("lapse.benchmarks")


def benchmark_command(
    names: Annotated[list[str], typer.Argument(help="Names of rows, or all, gpu or memory.")],
    *,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File for all results as JSON.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Measured steps of each stage (gpu).")] = 200,
    images: Annotated[int, typer.Option(min=1, help="Images of a pretraining step (gpu).")] = 32,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--override", help="Changed configuration key a.b=value (gpu)."),
    ] = None,
) -> None:
    """Measure rows on this machine and print a table."""
    from benchmarks.runner import machine, markdown, run_rows, write_json

    set_up_logging()
    if names == ["memory"]:
        from benchmarks.training_memory import memory_table

        typer.echo(memory_table())
        return
    source = {"commit": commit()}  # before the measurements: a later commit is not what ran
    if names == ["gpu"]:
        from benchmarks.gpu import GpuOptions, as_json, run_gpu

        stages = run_gpu(GpuOptions(steps=steps, images=images, overrides=tuple(overrides or ())))
        if json_file is not None:
            values = {"facts": {**machine(), **source}, "stages": as_json(stages)}
            json_file.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        return
    outcomes = run_rows(names)
    facts = {**machine(), **source}
    logger.info(", ".join(f"{key} {value}" for key, value in facts.items()))
    seconds = sum(outcome.seconds for outcome in outcomes)
    cpu_seconds = sum(outcome.cpu_seconds for outcome in outcomes)
    logger.info("%.0f s, of which %.0f s of computing", seconds, cpu_seconds)
    typer.echo(markdown(outcomes))
    if json_file is not None:
        write_json(json_file, outcomes, facts)


if __name__ == "__main__":
    typer.run(benchmark_command)
