"""`lapse prepare`: raw trees -> store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import progress_bar, say


def prepare(
    roots: Annotated[list[Path], typer.Argument(help="Folders that hold the raw trees, then OUT.")],
    size: Annotated[int, typer.Option(min=16, help="Training side in pixels.")] = 448,
    protocol: Annotated[str, typer.Option(help="patient-safe or published.")] = "patient-safe",
    priors: Annotated[
        str, typer.Option(help="References to priors: rules, none, classifier:/FOLDER.")
    ] = "rules",
    resize: Annotated[str, typer.Option(help="squash (the paper) or letterbox.")] = "squash",
    boxes: Annotated[str, typer.Option(help="silver; gold: to evaluate on.")] = "silver",
    regions: Annotated[str, typer.Option(help="29 or 36 region names.")] = "29",
    frontals: Annotated[
        str, typer.Option(help="Frontal images of a study: first or all.")
    ] = "first",
    subset: Annotated[
        bool, typer.Option("--subset", help="Go on with the images that are there.")
    ] = False,
    shard: Annotated[str, typer.Option(help="i/n: make only these shards, no store.")] = "",
    workers: Annotated[int, typer.Option(min=0, help="Processes that decode images.")] = 2,
) -> None:
    """Read raw trees (ROOTS... OUT) into one store: records as Parquet, pixels once.

    A run that was killed goes on where it stopped. Several machines can share the work: each
    runs with --shard i/n, the folders OUT.parts are copied into one, and a run without --shard
    merges them.
    """
    if len(roots) < 2:
        raise ValueError("prepare needs at least one raw folder and the output folder, in order")
    from lapse.data.prepare.prepare import PrepareOptions, find_roots
    from lapse.data.prepare.prepare import prepare as run

    *sources, out = roots
    options = PrepareOptions(
        size=size,
        protocol=protocol,
        priors=priors,
        resize=resize,
        boxes=boxes,
        regions=regions,
        frontals=frontals,
        is_subset=subset,
        workers=workers,
        part=_part(shard),
    )
    with progress_bar("prepare") as progress:
        report = run(find_roots(sources), out, options, progress=progress)
    if options.part is not None:
        say(
            f"{report.num_made} shards made in {out}.parts, {report.images_per_second:.1f} images/s"
        )
        return
    for line in report.lines():
        say(line)


def _part(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    first, _, last = text.partition("/")
    if not first.isdecimal() or not last.isdecimal():
        raise ValueError(f"--shard {text!r} is not of the form i/n, such as 1/2")
    return int(first), int(last)
