"""`lapse verify`: the doctor of raw trees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import progress_bar, say


def verify(
    roots: Annotated[list[Path], typer.Argument(help="Folders that hold the raw trees.")],
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Also decode every image: hours on a full release.")
    ] = False,
    json_file: Annotated[
        str, typer.Option("--json", help="Write all that was found, with ids; - for stdout.")
    ] = "",
    page: Annotated[Path | None, typer.Option(help="Write the same as an HTML page.")] = None,
    release_counts: Annotated[
        bool, typer.Option(help="Compare row counts with the published ones.")
    ] = True,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode images.")] = 2,
) -> None:
    """Look for defects in raw trees; changes nothing. Exit code 1 where there are errors."""
    from lapse.data.datasets.discovery import find_roots
    from lapse.data.verify.html import write_verify_page
    from lapse.data.verify.verify import verify as run

    found = find_roots(roots)
    with progress_bar("verify") as progress:
        report = run(
            found,
            pixels=pixels,
            release_counts=release_counts,
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
        say(f"page: {write_verify_page(page, report)}")
    raise typer.Exit(report.exit_code)
