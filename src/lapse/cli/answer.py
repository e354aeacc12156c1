"""`lapse answer`: two image files -> what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def answer(
    model: Annotated[
        str, typer.Argument(help="Stage-2 run folder, or a model folder; default: the small model.")
    ] = "",
    reference: Annotated[Path, typer.Option(help="Earlier image: JPEG, PNG, DICOM.")] = ...,  # type: ignore[assignment]
    main_image: Annotated[Path, typer.Option("--main", help="Later image.")] = ...,  # type: ignore[assignment]
    question: Annotated[str, typer.Option(help="Default: what has changed ...?")] = "",
) -> None:
    """Say what changed between two image files. Research use only."""
    from lapse.core.grammar import QUESTION_CHANGED
    from lapse.inference.answer import answer_pair
    from lapse.training.run_folder import CONFIG, load_run

    asked = question or QUESTION_CHANGED
    if model and (Path(model) / CONFIG).is_file():
        said = answer_pair(load_run(Path(model)), reference, main_image, asked)
        lines = said.lines()
    else:
        import torch

        from lapse.inference.pretrained import load

        # Beside other work a second thread waits longer than it helps a model of this size.
        torch.set_num_threads(1)
        lines = load(model or None).compare(reference, main_image, asked).lines()
    for line in lines:
        typer.echo(line)
