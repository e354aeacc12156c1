"""`lapse predict`: run -> predictions file."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from lapse.cli.console import progress_bar
from lapse.cli.options import Confidence, Probe, Split, split_names

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SelectionOptions:
    """Which samples are answered."""

    panel: ClassVar[str] = "Samples"

    data: Annotated[Path, typer.Option(help="Store written by lapse prepare.")]
    split: Annotated[Split, typer.Option(help="Split of the store to answer.")] = "test"
    tasks: Annotated[
        str,
        typer.Option(help="Comma-separated tasks to answer.", show_default="tasks of the run"),
    ] = ""
    limit: Annotated[
        int | None, typer.Option(min=1, help="Largest number of samples over all tasks.")
    ] = None
    probe: Annotated[
        list[Probe],
        typer.Option(
            help="Replace the images as this probe does; may be repeated. Each probe is written to "
            "a file of its name, and the unchanged samples are not answered."
        ),
    ] = field(default_factory=list)


@dataclass(frozen=True)
class GenerationOptions:
    """How the answers are generated."""

    panel: ClassVar[str] = "Generation"

    num_beams: Annotated[
        int | None,
        typer.Option(min=1, help="Width of the beam search.", show_default="value of the run"),
    ] = None
    confidence: Annotated[
        Confidence,
        typer.Option(
            help="Confidence to store with each answer: beam is free, clauses needs further "
            "forward passes."
        ),
    ] = "none"


def predict_command(
    run: Annotated[Path, typer.Argument(help="Run folder written by lapse train.")],
    selection: SelectionOptions,
    generation: GenerationOptions,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write the predictions to.", show_default="RUN/predictions-SPLIT.jsonl"
        ),
    ] = None,
) -> None:
    """Answer the samples of one split and write a predictions file."""
    from lapse.evaluation.predictions.jsonl import write_predictions
    from lapse.inference.predict import PredictOptions, predict
    from lapse.training.run_folder import load_run

    path = out or run / f"predictions-{selection.split}.jsonl"
    options = PredictOptions(
        tasks=split_names(selection.tasks),
        limit=selection.limit,
        num_beams=generation.num_beams,
        confidence=generation.confidence,
    )
    loaded = load_run(run)
    probes: list[str | None] = [probe.value for probe in selection.probe]
    for probe in probes or [None]:
        with progress_bar(f"predict {probe or selection.split}") as progress:
            predictions = list(
                predict(
                    loaded,
                    selection.data,
                    selection.split,
                    replace(options, probe=probe),
                    progress=progress,
                )
            )
        target = path if probe is None else path.with_suffix(f".{probe}{path.suffix}")
        write_predictions(target, predictions)
        logger.info("%d predictions in %s", len(predictions), target)
