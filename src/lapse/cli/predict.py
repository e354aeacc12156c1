"""`lapse predict`: run or model folder -> predictions file."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from lapse.cli.console import progress_bar
from lapse.cli.options import Confidence, Probe, Split

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
    """How the answers are generated: fields of `PredictOptions`."""

    panel: ClassVar[str] = "Generation"

    num_beams: Annotated[
        int | None,
        typer.Option(min=1, help="Width of the beam search.", show_default="value of the run"),
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Samples that are answered together.", show_default="value of the run"
        ),
    ] = None
    max_new_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Most tokens of an answer.", show_default="value of the run"),
    ] = None
    bits: Annotated[
        int | None,
        typer.Option(
            help="8 or 4: quantize the weights of an hf: model (needs bitsandbytes).",
            show_default="bf16 on a GPU, fp32 on a CPU",
        ),
    ] = None
    confidence: Annotated[
        Confidence,
        typer.Option(
            help="Confidence to store with each answer: beam is free, clauses needs further "
            "forward passes."
        ),
    ] = "none"
    guarded: Annotated[
        bool,
        typer.Option(
            "--guarded",
            help="Also store the guarded answer to each question about two images: ten readings "
            "instead of one.",
        ),
    ] = False


def predict_command(
    model: Annotated[
        str,
        typer.Argument(
            help="Run folder, exported model folder, hub id org/name@<40 hex digits>, "
            '"packaged": the model of this package; or hf: and the folder or hub id of any '
            "image-text-to-text model of transformers."
        ),
    ],
    selection: SelectionOptions,
    generation: GenerationOptions,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write the predictions to; required unless MODEL is a run folder.",
            show_default="RUN/predictions-SPLIT.jsonl",
        ),
    ] = None,
) -> None:
    """Answer the samples of one split and write a predictions file.

    The same command continues an interrupted job. Under torchrun or srun, every rank answers a
    part of the samples.
    """
    from lapse.inference.answerers import open_answerer
    from lapse.inference.predict import PredictOptions
    from lapse.inference.prediction_job import predict_to_file, prediction_ranks
    from lapse.training.run_folder import CONFIG

    if out is None and not (Path(model) / CONFIG).is_file():
        raise ValueError(f"{model} is not a run folder: give --out, the file for its predictions")
    path = out or Path(model) / f"predictions-{selection.split}.jsonl"
    tasks = tuple(name.strip() for name in selection.tasks.split(",") if name.strip())
    options = PredictOptions(tasks, selection.limit, **vars(generation))
    probes: list[str | None] = [probe.value for probe in selection.probe]
    with prediction_ranks() as ranks:
        answerer = open_answerer(model, options, device=ranks.device)
        for probe in probes or [None]:
            target = path if probe is None else path.with_suffix(f".{probe}{path.suffix}")
            title = f"predict {probe or selection.split}"
            options = replace(options, probe=probe)
            with progress_bar(title, unit="rows", is_shown=ranks.rank == 0) as progress:
                count = predict_to_file(
                    answerer, selection.data, selection.split, target, options, progress=progress
                )
            logger.info("%d predictions in %s", count, target)
