"""`lapse table`: trains, scores and compares every system of a table of the paper."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from lapse.cli.console import program_facts, progress_bar
from lapse.cli.options import Split
from lapse.config import Stage
from lapse.workflows.paper_tables.plan import TableOptions
from lapse.workflows.paper_tables.settings import STAGES, Scale, parse_settings, read_language_model
from lapse.workflows.paper_tables.spec import TableSpec, read_table

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
            help="Number of seeds of each row, in both stages.",
            show_default="1 for tiny, 3 for small and paper",
        ),
    ] = None
    split: Annotated[Split, typer.Option(help="Split to score.")] = "test"

    settings: Annotated[
        list[str],
        typer.Option(
            "--set",
            help="Override key=value of every run that has the key, or stage:key=value of the runs "
            "of one stage (pretrain, diffvqa); may be repeated.",
            show_default="none",
        ),
    ] = field(default_factory=list)
    language_model: Annotated[
        str | None,
        typer.Option(
            help="First weights of GPT-2: a folder, a hub id org/name@<40 hex digits>, or random. "
            "Required at the scale of the paper.",
            show_default="random",
        ),
    ] = None


def table_command(
    tables: Annotated[
        list[str],
        typer.Argument(
            help="table1 to table6 of the paper, experiment, films-boxes, films-changes, or "
            "paths of table files."
        ),
    ],
    rows: RowOptions,
    *,
    data: Annotated[list[Path], typer.Option(help="Store; repeat the option for each image size.")],
    out: Annotated[Path, typer.Option(help="Folder for the tables and all their runs.")],
    processes: Annotated[
        int, typer.Option(min=1, help="Number of runs at the same time, each with one thread.")
    ] = 1,
    bert: Annotated[
        str | None,
        typer.Option(help="Model for BERTScore: a folder, or hub id org/name@<40 hex digits>."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the runs, their weights, sizes, operations, hours and bytes, and the sums "
            "over all tables, without training.",
        ),
    ] = False,
    records: Annotated[
        str,
        typer.Option(
            help="Dry run: numbers of training images and training pairs to count with, as N,M.",
            show_default="those of the store",
        ),
    ] = "",
) -> None:
    """Train, predict and score the rows of tables of the paper, and write the tables.

    Finished runs are reused, interrupted ones are resumed, and tables share their runs.
    """
    from lapse.metrics.bertscore import BertChoice
    from lapse.workflows.paper_tables.run import run_tables

    specs = {Path(name).stem: read_table(name) for name in tables}
    options = TableOptions(
        scale=rows.scale,
        only=tuple(rows.rows),
        seeds=rows.num_seeds or (1 if rows.scale == "tiny" else 3),
        split=rows.split,
        processes=processes,
        provenance=program_facts(),
        settings=parse_settings(rows.settings),
        bert=BertChoice(bert) if bert else None,
    )
    is_chosen = rows.language_model is not None
    if is_chosen or not dry_run:
        choice = read_language_model(rows.language_model, rows.scale)
        options = replace(options, language_model=choice)
    if dry_run:
        if rows.scale == "paper" and not is_chosen:
            logger.warning("the runs need --language-model FOLDER (or random) at this scale")
        _print_plan(specs, data, out, options, _records(records))
        return
    results = run_tables(specs, data, out, options, progress_bar=progress_bar)
    for name, table_rows in results.items():
        num_done = sum(not row.reason for row in table_rows)
        message = "%s: %d of %d rows in %s.md, .csv and .html"
        logger.info(message, name, num_done, len(table_rows), out / name)


def _records(text: str) -> dict[str, int]:
    """ "N,M" as numbers of studies and of pairs; nothing for ""."""
    parts = text.split(",") if text else []
    if parts and (len(parts) != 2 or not all(part.strip().isdigit() for part in parts)):
        raise ValueError(f"--records {text!r} is not of the form N,M: two whole numbers")
    return {kind: int(part) for kind, part in zip(("studies", "pairs"), parts, strict=False)}


def _print_plan(
    specs: dict[str, TableSpec],
    data: list[Path],
    out: Path,
    options: TableOptions,
    records: dict[str, int],
) -> None:
    from lapse.workflows.paper_tables.cost import (
        PEAKS,
        UTILISATION,
        RunCost,
        describe,
        describe_sum,
        run_cost,
    )
    from lapse.workflows.paper_tables.output import show_sizes
    from lapse.workflows.paper_tables.run import count_parameters, open_stores, plan_tables

    costs: dict[str, RunCost] = {}
    stage_of: dict[str, Stage] = {}
    uncounted: set[str] = set()
    for name, planned in plan_tables(specs, out, open_stores(data), options).items():
        logger.info(specs[name].title)
        for item in planned:
            chain = " -> ".join(
                f"{run.key}{' (shared)' if run.key in costs else ''}" for run in item.runs
            )
            logger.info("  %s %s seed %d: %s", name, item.row.key, item.seed, chain or item.missing)
            if item.seed == 0:
                size = show_sizes(count_parameters(item.row))
                published = item.row.published_size or "not stated"
                logger.info(
                    "    parameters at the scale of the paper: %s; published: %s", size, published
                )
            for run in item.runs:
                if run.key in costs or run.key in uncounted:
                    continue
                try:
                    costs[run.key] = run_cost(run, records)
                except ValueError as error:
                    uncounted.add(run.key)
                    logger.warning("    %s: not counted, it cannot run: %s", run.key, error)
                    continue
                stage_of[run.key] = run.config.stage
                logger.info("    %s: %s", run.key, describe(costs[run.key]))
    peaks = ", ".join(f"{gpu} {peak / 1e12:.0f}" for gpu, peak in PEAKS.items())
    logger.info(
        "hours assume %.0f%% of the peak (T operations per second in bf16: %s); answers and "
        "validation are not included",
        100 * UTILISATION,
        peaks,
    )
    for number, stage in enumerate(STAGES, start=1):
        of_stage = [cost for key, cost in costs.items() if stage_of[key] == stage]
        logger.info(describe_sum(f"stage {number}", of_stage))
    logger.info(describe_sum("all tables", list(costs.values())))
    if uncounted:
        logger.warning("not counted: %d runs, see above", len(uncounted))
