"""`lapse answer`: two image files -> what changed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from lapse.core.grammar import QUESTION_CHANGED

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class OutputOptions:
    """Files to write, several at once."""

    panel: ClassVar[str] = "Files to write"

    json: Annotated[
        Path | None, typer.Option(help="Everything that is known about the answer, as JSON.")
    ] = None
    csv: Annotated[Path | None, typer.Option(help="The answer as one row of a table.")] = None
    html: Annotated[
        Path | None,
        typer.Option(help="One page with both films, regions, changes, checks and the model."),
    ] = None
    png: Annotated[
        Path | None,
        typer.Option(help="Both films with regions, changes and notices, as a picture."),
    ] = None


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
    outputs: OutputOptions,
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
    from lapse.inference.comparison import compare_with_run, with_full_films
    from lapse.inference.outputs import AnswerFiles
    from lapse.training.run_folder import CONFIG, load_run

    films = (reference, main)
    files = AnswerFiles(outputs.json, outputs.csv, outputs.html, outputs.png)
    files.check(films)
    options = AnswerOptions(guarded=not guard.unguarded, allow_unusual=guard.allow_unusual)
    if model and (Path(model) / CONFIG).is_file():
        comparison = compare_with_run(load_run(Path(model)), *films, question, options)
    else:
        import torch

        from lapse.inference.pretrained import load

        # A second thread slows a model of this size down on a busy machine.
        torch.set_num_threads(1)
        exported = load(model or None)
        comparison = exported.compare(*films, question, options)
        if files.shows_films:
            comparison = with_full_films(comparison, films, exported.parts.processing)
    files.write(comparison)
    for line in comparison.lines():
        typer.echo(line)
    for _, path in files.paths():
        logger.info("%s", path)
