"""`lapse answer`: two image files -> what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lapse.core.grammar import QUESTION_CHANGED


def answer_command(
    model: Annotated[
        str,
        typer.Argument(
            help="Stage-2 run folder, exported model folder, or hub id org/name@<40 hex digits>. "
            "Without it, the packaged model answers."
        ),
    ] = "",
    *,
    reference: Annotated[Path, typer.Option(help="Earlier image (JPEG, PNG or DICOM).")],
    main: Annotated[Path, typer.Option(help="Later image of the same patient.")],
    question: Annotated[
        str, typer.Option(help="Question to answer; wordings outside the data set are untested.")
    ] = QUESTION_CHANGED,
) -> None:
    """Describe what changed between two images of one patient. Research use only."""
    from lapse.training.run_folder import CONFIG

    if model and (Path(model) / CONFIG).is_file():
        from lapse.inference.answer import answer_pair
        from lapse.training.run_folder import load_run

        lines = answer_pair(load_run(Path(model)), reference, main, question).lines()
    else:
        import torch

        from lapse.inference.pretrained import load

        # A second thread slows a model of this size down on a busy machine.
        torch.set_num_threads(1)
        lines = load(model or None).compare(reference, main, question).lines()
    for line in lines:
        typer.echo(line)
