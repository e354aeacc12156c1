"""`lapse answer`: two image files -> what changed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from lapse.cli.console import progress_bar
from lapse.core.changes import QUESTION_CHANGED

if TYPE_CHECKING:
    from lapse.inference.answer import AnswerOptions
    from lapse.inference.comparison import Comparison
    from lapse.inference.comparison_model import ComparisonModel

logger = logging.getLogger(__name__)

ModelArgument = Annotated[
    str,
    typer.Argument(
        help="Stage-2 run folder, exported model folder, or hub id org/name@<40 hex digits>. "
        "Without it, the packaged model answers."
    ),
]


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

    def answer_options(self) -> AnswerOptions:
        """The options of the library."""
        from lapse.inference.answer import AnswerOptions

        return AnswerOptions(guarded=not self.unguarded, allow_unusual=self.allow_unusual)


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
    sr: Annotated[
        Path | None,
        typer.Option(
            help="The answer as a DICOM structured report (TID 1500) with the regions on both "
            "films, which must be DICOM. Needs the extra dicom."
        ),
    ] = None


def answer_command(
    model: ModelArgument = "",
    *,
    guard: GuardOptions,
    outputs: OutputOptions,
    reference: Annotated[
        Path | None, typer.Option(help="Earlier image (JPEG, PNG or DICOM).")
    ] = None,
    main: Annotated[Path | None, typer.Option(help="Later image of the same patient.")] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Instead of two images: a table with the columns reference, main and, if wanted, "
            "question; paths are relative to its folder. Needs --csv. After an interruption the "
            "same command continues."
        ),
    ] = None,
    question: Annotated[
        str, typer.Option(help="Question to answer, in the words of the data set.")
    ] = QUESTION_CHANGED,
) -> None:
    """Describe what changed between two images of one patient. Research use only.

    Films that contradict the question (another patient, another view, reversed order) or that are
    not chest films are refused.
    """
    from lapse.inference.outputs import AnswerFiles
    from lapse.inference.structured_report.document import headers_of, structured_report

    files = AnswerFiles(**vars(outputs))
    if pairs is not None:
        if reference or main or files.csv is None or len(files.paths()) > 1:
            raise ValueError(
                "--pairs needs --csv and no other output, and replaces --reference and --main"
            )
        files.check([pairs])
        _answer_table(pairs, files.csv, model, guard, question)
        return
    if reference is None or main is None:
        raise ValueError("give two images with --reference and --main, or a table with --pairs")
    films = (reference, main)
    files.check(films)
    opened = _open(model)
    comparison = opened.compare(*films, question, guard.answer_options())
    if files.html is not None or files.png is not None:
        from lapse.inference.comparison import with_full_films

        comparison = with_full_films(comparison, films, opened.processing)
    report = None if files.sr is None else structured_report(comparison, headers_of(films))
    files.write(comparison, report)
    for line in comparison.lines():
        typer.echo(line)
    for _, path in files.paths():
        logger.info("%s", path)


def _open(name: str) -> ComparisonModel:
    import torch

    from lapse.inference.comparison_model import RunModel, open_model

    model = open_model(name)
    if not isinstance(model, RunModel):
        # A second thread slows a model of this size down on a busy machine.
        torch.set_num_threads(1)
    return model


def _digest(name: str, model: ComparisonModel) -> str:
    from lapse.core.files import sha256_of
    from lapse.inference.comparison_model import RunModel
    from lapse.inference.pretrained.model import model_folder
    from lapse.training.exported_model import CONFIG as EXPORTED
    from lapse.training.exported_model import PACKAGED
    from lapse.training.run_folder import CONFIG

    if isinstance(model, RunModel):
        return f"{sha256_of(model.run.folder / CONFIG)}, step {model.run.step}"
    return sha256_of(model_folder(name or PACKAGED) / EXPORTED)


def _answer_table(table: Path, out: Path, name: str, guard: GuardOptions, question: str) -> None:
    from lapse.inference.pair_table import answer_pairs

    model, options = _open(name), guard.answer_options()
    facts = {"guard": repr(guard), "model": _digest(name, model), "question": question}

    def compare(reference: Path, main: Path, text: str) -> Comparison:
        return model.compare(reference, main, text, options)

    with progress_bar("answer", unit="pairs") as progress:
        counts = answer_pairs(table, out, compare, facts=facts, progress=progress)
    for line, error in counts.errors:
        logger.warning("%s line %d: %s", table, line, error)
    resumed = f", {counts.resumed} of them by an earlier run" if counts.resumed else ""
    typer.echo(
        f"{counts.rows} pairs{resumed}; {len(counts.errors)} with an error; answers in {out}"
    )
