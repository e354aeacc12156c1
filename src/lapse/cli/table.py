"""`lapse table`: every system of a table of the paper, trained, scored and set side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import progress_bar, provenance, say
from lapse.workflows.paper_tables.spec import Scale, plan, read_table


def table(
    files: Annotated[list[Path], typer.Argument(help="experiments/table1.yaml ...")],
    data: Annotated[list[Path], typer.Option(help="Store; one of each image size.")] = ...,  # type: ignore[assignment]
    out: Annotated[Path, typer.Option(help="Folder of all tables and runs.")] = ...,  # type: ignore[assignment]
    scale: Annotated[Scale, typer.Option(help="tiny (minutes) or paper.")] = "tiny",
    only: Annotated[
        list[str] | None, typer.Option(help="Key of a row; ours always runs too.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Of each row's last run; 1 at tiny, 3 at paper.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which split is scored.")] = "test",
    processes: Annotated[
        int, typer.Option(min=1, help="Runs side by side, each with one thread.")
    ] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run.")] = False,
) -> None:
    """Train what is missing, resume what was cut, predict, score, write the paper's tables."""
    from lapse.workflows.paper_tables.output import show_sizes
    from lapse.workflows.paper_tables.run import (
        TableOptions,
        count_parameters,
        open_stores,
        run_tables,
    )

    count = seeds or (3 if scale == "paper" else 1)
    specs = {path.stem: read_table(path) for path in files}
    if dry_run:
        done: set[str] = set()
        for name, spec in specs.items():
            say(spec.title)
            for item in plan(
                spec, out, open_stores(data), scale=scale, seeds=count, only=only or ()
            ):
                chain = " -> ".join(
                    f"{run.key}{' (shared)' if run.key in done else ''}" for run in item.runs
                )
                done |= {run.key for run in item.runs}
                say(f"  {name} {item.row.key} seed {item.seed}: {chain or item.missing}")
                if item.seed == 0:
                    size = show_sizes(count_parameters(item.row))
                    published = item.row.published_size or "nothing"
                    say(f"    parameters at the paper's scale: {size}; published: {published}")
        return
    facts = provenance(data=None, seed=0, n=0)
    found = run_tables(
        specs,
        data,
        out,
        TableOptions(scale, tuple(only or ()), count, split, processes),
        say=say,
        bar=progress_bar,
        provenance={key: facts[key] for key in ("command", "version", "commit")},
    )
    for name, rows in found.items():
        ran = sum(not row.reason for row in rows)
        say(f"{name}: {ran} of {len(rows)} rows in {out / name}.md, .csv and .html")
