"""The options of the commands that read predictions, on references and baselines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from lapse.cli.options import ImageIds, ReaderName, Split

if TYPE_CHECKING:
    from lapse.evaluation.references import ReferenceOptions


@dataclass(frozen=True)
class JoinGroup:
    """References from a store, from a question table, or from the predictions file itself.

    The fields are those of `ReferenceOptions`.
    """

    panel: ClassVar[str] = "References"

    data: Annotated[
        Path | None,
        typer.Option(
            help="Store with the references; adds image-blind baselines, subgroups and provenance."
        ),
    ] = None
    questions: Annotated[
        Path | None,
        typer.Option(
            help="Table with the references, instead of a store: mimic_pair_questions.csv, or one "
            "with the columns id and answer."
        ),
    ] = None
    split: Annotated[Split, typer.Option(help="Split that the predictions answer.")] = "test"
    task: Annotated[
        str | None,
        typer.Option(
            help="Evaluate only this task; it is also the task of a file that names none.",
            show_default="all tasks that the file names; diff_vqa if it names none",
        ),
    ] = None
    image_ids: Annotated[
        ImageIds,
        typer.Option("--ids", help="What image_id means in a COCO file; auto detects it."),
    ] = "auto"
    is_partial: Annotated[
        bool,
        typer.Option("--partial", help="Accept a file that answers a part of the questions only."),
    ] = False

    reader: Annotated[
        ReaderName | None,
        typer.Option(
            help="How texts become changes: strict reads the template sentences, lenient reads "
            "free text by rules.",
            show_default="strict",
        ),
    ] = None

    def to_options(self) -> ReferenceOptions:
        """The options of the library."""
        from lapse.evaluation.references import ReferenceOptions

        return ReferenceOptions(**vars(self) | {"reader": self.reader or "strict"})


@dataclass(frozen=True)
class ReferenceGroup(JoinGroup):
    """References, and the store of image-blind baselines."""

    panel: ClassVar[str] = "References and baselines"

    baseline_data: Annotated[
        Path | None,
        typer.Option(
            help="Store of other patients whose train split the image-blind baselines use.",
            show_default="the store of --data",
        ),
    ] = None


@dataclass(frozen=True)
class ValidationGroup(JoinGroup):
    """References of validation predictions."""

    data: Annotated[Path | None, typer.Option(help="Store with the references.")] = None
    split: Annotated[Split, typer.Option(help="Split that the predictions answer.")] = "validate"


@dataclass(frozen=True)
class ReportGroup(JoinGroup):
    """References of the predictions on a page."""

    data: Annotated[
        Path | None,
        typer.Option(
            help="Store whose images and boxes are shown with the answers; also gives references."
        ),
    ] = None
