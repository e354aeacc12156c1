"""`lapse table`: trains, scores and compares every system of a table of the paper."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from lapse.cli.console import program_facts, progress_bar
from lapse.cli.options import Split
from lapse.workflows.paper_tables.spec import Scale, TableOptions, TableSpec, plan, read_table

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RowOptions:
    """Which rows run, and how."""

    panel: ClassVar[str] = "Rows"

    scale: Annotated[
        Scale,
        typer.Option(
            help="tiny models (minutes), small ones (an hour a run on a CPU core), or those of "
            "the paper (GPU days)."
        ),
    ] = "tiny"
    rows: Annotated[
        list[str],
        typer.Option(
            "--row",
            help="Key of a row to run; may be repeated. The row of this package always runs.",
            show_default="every row",
        ),
    ] = field(default_factory=list)
    num_seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            min=1,
            help="Number of seeds of each row's last run.",
            show_default="1 for tiny, 3 for small and paper",
        ),
    ] = None
    split: Annotated[Split, typer.Option(help="Split to score.")] = "test"

    @property
    def seeds(self) -> int:
        """The number of seeds, with the default of the scale."""
        return self.num_seeds or (1 if self.scale == "tiny" else 3)


def table_command(
    tables: Annotated[
        list[str],
        typer.Argument(
            help="Names of tables of the paper (table1 to table6), or paths of table files."
        ),
    ],
    rows: RowOptions,
    *,
    data: Annotated[list[Path], typer.Option(help="Store; repeat the option for each image size.")],
    out: Annotated[Path, typer.Option(help="Folder for the tables and all their runs.")],
    processes: Annotated[
        int, typer.Option(min=1, help="Number of runs at the same time, each with one thread.")
    ] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the runs and model sizes without training.")
    ] = False,
) -> None:
    """Train, predict and score the rows of tables of the paper, and write the tables.

    Finished runs are reused, interrupted ones are resumed, and tables share their runs.
    """
    from lapse.workflows.paper_tables.run import run_tables

    specs = {Path(name).stem: read_table(name) for name in tables}
    options = TableOptions(
        scale=rows.scale,
        only=tuple(rows.rows),
        seeds=rows.seeds,
        split=rows.split,
        processes=processes,
        provenance=program_facts(),
    )
    if dry_run:
        _print_plan(specs, data, out, options)
        return
    results = run_tables(specs, data, out, options, progress_bar=progress_bar)
    for name, table_rows in results.items():
        num_done = sum(not row.reason for row in table_rows)
        logger.info(
            "%s: %d of %d rows in %s.md, .csv and .html",
            name,
            num_done,
            len(table_rows),
            out / name,
        )


def _print_plan(
    specs: dict[str, TableSpec], data: list[Path], out: Path, options: TableOptions
) -> None:
    """Print the runs of each row, and what tables share."""
    from lapse.workflows.paper_tables.output import show_sizes
    from lapse.workflows.paper_tables.run import count_parameters, open_stores

    planned: set[str] = set()
    for name, spec in specs.items():
        logger.info(spec.title)
        stores = open_stores(data)
        for item in plan(spec, out, stores, options):
            chain = " -> ".join(
                f"{run.key}{' (shared)' if run.key in planned else ''}" for run in item.runs
            )
            planned |= {run.key for run in item.runs}
            logger.info("  %s %s seed %d: %s", name, item.row.key, item.seed, chain or item.missing)
            if item.seed == 0:
                size = show_sizes(count_parameters(item.row))
                published = item.row.published_size or "not stated"
                logger.info(
                    "    parameters at the scale of the paper: %s; published: %s", size, published
                )
