"""`lapse verify`: validation of raw data."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import progress_bar
from lapse.cli.raw_data import find_raw_data, with_release_options

logger = logging.getLogger(__name__)


def verify_command(
    roots: Annotated[
        list[Path],
        typer.Argument(
            help="Folders with the raw data, the table of your own films, or one store written by "
            "lapse prepare."
        ),
    ],
    *,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of the images that the table of your own films lists."),
    ] = None,
    chexmask: Annotated[
        Path | None,
        typer.Option(help="CSV of CheXmask (OriginalResolution) for the images, to check it too."),
    ] = None,
    check_pixels: Annotated[
        bool,
        typer.Option(
            "--check-pixels", help="Also decode every image (hours for a complete release)."
        ),
    ] = False,
    json_file: Annotated[
        str,
        typer.Option("--json", help="File for all defects with their ids; - prints to stdout."),
    ] = "",
    page: Annotated[
        Path | None, typer.Option(help="File for an HTML page with all defects.")
    ] = None,
    subset: Annotated[
        bool,
        typer.Option(
            "--subset",
            help="The copy is a part of a release, such as p10 alone: what is not in it is noted "
            "and is not an error.",
        ),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Number of threads that decode images.")] = 2,
) -> None:
    """Search raw data for defects without changing it; exit code 1 means errors were found.

    With your own films: lapse verify my_table.csv --images FOLDER. Releases are recognised by their
    tables.
    A store is compared with the checksums of its pixels and of its other files.
    """
    from lapse.core.files import check_output_file, write_text
    from lapse.data.store.info import INFO

    for output in (json_file, page):
        if output and output != "-":
            check_output_file(Path(output))
    if len(roots) == 1 and (roots[0] / INFO).is_file():
        if json_file or page is not None or check_pixels:
            raise ValueError(
                f"{roots[0]} is a store: --json, --page and --check-pixels are for raw data"
            )
        _verify_store(roots[0])
    from lapse.data.verify.verify import verify
    from lapse.evaluation.html.verify_page import render_verify_page

    raw_data = find_raw_data(roots, images, command="lapse verify TABLE.csv --images FOLDER")
    with progress_bar("verify") as progress:
        report = verify(
            with_release_options(raw_data, masks=chexmask),
            pixels=check_pixels,
            subset=subset,
            workers=workers,
            progress=progress,
        )
    is_piped = json_file == "-"
    for line in report.lines():
        typer.echo(line, err=is_piped)
    if json_file:
        text = json.dumps(report.to_json(), indent=1)
        if is_piped:
            typer.echo(text)
        else:
            Path(json_file).write_text(f"{text}\n", encoding="utf-8")
    if page is not None:
        write_text(page, render_verify_page(report))
        logger.info("HTML page in %s", page)
    raise typer.Exit(report.exit_code)


def _verify_store(folder: Path) -> None:
    from lapse.data.store.checksums import CHECKSUMS, read_checksums, store_damage
    from lapse.data.store.store import open_store

    store = open_store(folder)
    checksums = read_checksums(folder)
    if checksums is None:
        raise ValueError(
            f"{folder} has no {CHECKSUMS}, as it was written by an earlier version: run prepare "
            "again"
        )
    with progress_bar("verify") as progress:
        problems = list(store_damage(folder, store.pixel_file, progress))
    for problem in problems:
        typer.echo(problem)
    blocks, files = len(checksums.pixels), len(checksums.files)
    typer.echo(
        f"{len(problems)} of {blocks} blocks of {checksums.block} images and {files} files differ "
        "from their checksums"
    )
    raise typer.Exit(1 if problems else 0)
