"""The options of `lapse evaluate` and `lapse compare` on references and baselines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from lapse.cli.options import ImageIds, Split

if TYPE_CHECKING:
    from lapse.evaluation.references import ReferenceOptions


@dataclass(frozen=True)
class ReferenceGroup:
    """References from a store, from the question table, or from the predictions file itself."""

    panel: ClassVar[str] = "References and baselines"

    data: Annotated[
        Path | None,
        typer.Option(
            help="Store with the references; adds image-blind baselines, subgroups and provenance."
        ),
    ] = None
    baseline_data: Annotated[
        Path | None,
        typer.Option(
            help="Store of other patients whose train split the image-blind baselines use.",
            show_default="the store of --data",
        ),
    ] = None
    questions: Annotated[
        Path | None,
        typer.Option(help="mimic_pair_questions.csv with the references, instead of a store."),
    ] = None
    split: Annotated[Split, typer.Option(help="Split that the predictions answer.")] = "test"
    task: Annotated[str, typer.Option(help="Task of the answers in a CSV or COCO file.")] = (
        "diff_vqa"
    )
    ids: Annotated[
        ImageIds, typer.Option(help="What image_id means in a COCO file; auto detects it.")
    ] = "auto"

    def to_options(self) -> ReferenceOptions:
        """The options of the library."""
        from lapse.evaluation.references import ReferenceOptions

        return ReferenceOptions(
            data=self.data,
            baseline_data=self.baseline_data,
            questions=self.questions,
            split=self.split,
            task=self.task,
            image_ids=self.ids,
        )
