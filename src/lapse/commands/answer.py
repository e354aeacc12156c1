"""`lapse answer`: two image files -> what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def answer(
    run: Annotated[Path, typer.Argument(help="Run folder of stage 2.")],
    reference: Annotated[Path, typer.Option(help="Earlier image: JPEG, PNG, DICOM.")] = ...,  # type: ignore[assignment]
    main_image: Annotated[Path, typer.Option("--main", help="Later image.")] = ...,  # type: ignore[assignment]
    question: Annotated[str, typer.Option(help="Default: what has changed ...?")] = "",
) -> None:
    """Say what changed between two image files. Research use only."""
    from lapse.answer import answer_pair
    from lapse.grammar import QUESTION_CHANGED
    from lapse.runs import open_run

    said = answer_pair(open_run(run), reference, main_image, question or QUESTION_CHANGED)
    for line in said.lines():
        typer.echo(line)
