"""`lapse answer`: two image files -> what changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from lapse.core.grammar import QUESTION_CHANGED


@dataclass(frozen=True)
class GuardOptions:
    """What is answered, and when not."""

    panel: ClassVar[str] = "Guard and input checks"

    unguarded: Annotated[
        bool,
        typer.Option(
            "--unguarded",
            help="Print the answer of one beam search, as in the paper, instead of the changes "
            "that six readings agree on.",
        ),
    ] = False
    allow_unusual: Annotated[
        bool,
        typer.Option(
            "--allow-unusual",
            help="Answer inputs that a check refuses, such as two patients or a turned film, "
            "with a warning.",
        ),
    ] = False


def answer_command(
    model: Annotated[
        str,
        typer.Argument(
            help="Stage-2 run folder, exported model folder, or hub id org/name@<40 hex digits>. "
            "Without it, the packaged model answers."
        ),
    ] = "",
    *,
    guard: GuardOptions,
    reference: Annotated[Path, typer.Option(help="Earlier image (JPEG, PNG or DICOM).")],
    main: Annotated[Path, typer.Option(help="Later image of the same patient.")],
    question: Annotated[
        str, typer.Option(help="Question to answer, in the words of the data set.")
    ] = QUESTION_CHANGED,
) -> None:
    """Describe what changed between two images of one patient. Research use only.

    Films that contradict the question (another patient, another view, reversed order) or that are
    not chest films are refused.
    """
    from lapse.inference.answer import AnswerOptions
    from lapse.training.run_folder import CONFIG

    options = AnswerOptions(guarded=not guard.unguarded, allow_unusual=guard.allow_unusual)
    if model and (Path(model) / CONFIG).is_file():
        from lapse.inference.answer import answer_pair
        from lapse.training.run_folder import load_run

        lines = answer_pair(load_run(Path(model)), reference, main, question, options).lines()
    else:
        import torch

        from lapse.inference.pretrained import load

        # A second thread slows a model of this size down on a busy machine.
        torch.set_num_threads(1)
        lines = load(model or None).compare(reference, main, question, options).lines()
    for line in lines:
        typer.echo(line)
