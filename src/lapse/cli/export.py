"""`lapse export`: two runs -> one model folder."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from lapse.cli.console import commit, progress_bar

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GuardOptions:
    """What protects the answers of the model."""

    panel: ClassVar[str] = "Input check and guard"

    data: Annotated[
        Path | None,
        typer.Option(
            help="Store that the runs were trained on: its training films fit the input check, "
            "its validation patients set the limits. Without it, the model has neither."
        ),
    ] = None
    precision: Annotated[
        float,
        typer.Option(help="Precision of the stated changes on validation patients (0 to 1)."),
    ] = 0.85
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="File of lapse calibrate --calibration on validation answers of this model. "
            "Without it, the answers that --data gives are calibrated."
        ),
    ] = None


def export_command(
    stage1: Annotated[Path, typer.Argument(help="Run folder of stage 1.")],
    stage2: Annotated[Path, typer.Argument(help="Run folder of stage 2, trained on stage 1.")],
    out: Annotated[Path, typer.Argument(help="New folder for the model.")],
    guard: GuardOptions,
    *,
    trained_on: Annotated[
        str, typer.Option(help="One sentence on the training data for the model card.")
    ] = "",
    encoder: Annotated[
        Path | None,
        typer.Option(help="Folder for a copy of the encoder in the SigLIP format of transformers."),
    ] = None,
) -> None:
    """Export two runs as one model folder (16-bit weights, model card).

    lapse answer, lapse.load() and init_model=FOLDER open it.
    """
    from lapse.inference.pretrained import Lapse
    from lapse.inference.pretrained.export import from_runs
    from lapse.inference.pretrained.fit_guards import FitOptions, fit_guards
    from lapse.metrics.probability import read_calibration

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not empty: give a new folder")
    facts = {"trained on": trained_on} if trained_on else {}
    calibration = None if guard.calibration is None else read_calibration(guard.calibration)
    parts = from_runs(stage1, stage2, facts={**facts, "commit": commit()})
    parts = replace(parts, calibration=calibration)
    if guard.data is not None:
        with progress_bar("guarded answers") as progress:
            options = FitOptions(guard.data, guard.precision)
            parts = fit_guards(parts, options, progress=progress)
    model = Lapse(parts)
    model.save_pretrained(out)
    if guard.data is None:
        logger.warning("the model has no input check and no chosen guard: they need --data STORE")
    num_megabytes = (out / "model.safetensors").stat().st_size / 1e6
    logger.info("model in %s, weights %.1f MB", out, num_megabytes)
    if encoder is not None:
        model.export_encoder(encoder)
        logger.info("encoder for transformers in %s", encoder)
