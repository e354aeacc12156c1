"""`lapse calibrate`: validation predictions -> threshold file for abstention."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.options import ConfidenceSource
from lapse.cli.references import ValidationGroup

TOLERANCE = 0.03  # a resplit counts as kept when its rate is at most alpha + TOLERANCE

logger = logging.getLogger(__name__)


def calibrate_command(
    validation: Annotated[
        Path,
        typer.Argument(
            help="Predictions on the validation split, written by lapse predict --confidence."
        ),
    ],
    references: ValidationGroup,
    *,
    alpha: Annotated[
        float,
        typer.Option(help="Largest false-change rate to accept, as a mean over patients (0 to 1)."),
    ] = 0.1,
    by: Annotated[
        ConfidenceSource, typer.Option(help="Confidence that is compared with the threshold.")
    ] = "beam",
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write the threshold to.",
            show_default="threshold.json in the folder of the predictions",
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Also fit calibrated probabilities of changes and write them to this file, for "
            "lapse export --calibration."
        ),
    ] = None,
    num_resplits: Annotated[
        int,
        typer.Option(
            min=0, help="Number of random halves of the patients on which to test the threshold."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the random halves.")] = 0,
) -> None:
    """Choose a threshold for abstention on validation patients.

    At most ALPHA of the answers then state a change that did not happen. Apply the threshold to
    other patients with lapse evaluate --threshold FILE.
    """
    from lapse.core.files import check_output_file
    from lapse.evaluation.references import ReferenceSource
    from lapse.metrics.abstention import choose_threshold, resplit_rates, write_threshold
    from lapse.metrics.changes import too_many_unread
    from lapse.metrics.probability import fit_calibration, write_calibration

    path = out or validation.with_name("threshold.json")
    for output in filter(None, (path, calibration)):
        check_output_file(output)
    source = ReferenceSource(references.to_options())
    answers = source.read_predictions(validation, is_checked=False)
    predictions = [item for item in answers if item.task == "diff_vqa"]
    if not predictions:
        raise ValueError(f"{validation} has no difference answer (task diff_vqa)")
    texts = ([item.answer for item in predictions], [item.truth for item in predictions])
    if unread := too_many_unread(*texts):
        raise ValueError(f"{validation}: {unread}: a threshold cannot rest on unread texts")
    threshold = choose_threshold(predictions, alpha, by)
    write_threshold(path, threshold)
    typer.echo(
        f"a change is stated if its confidence ({by}) is above {threshold.threshold:.6g}: "
        f"false-change rate {threshold.rate:.4f} on {threshold.patients} patients, limit {alpha:g}"
    )
    if num_resplits:
        rates = resplit_rates(predictions, alpha, by, splits=num_resplits, seed=seed)
        num_kept = sum(rate <= alpha + TOLERANCE for rate in rates)
        typer.echo(
            f"{num_resplits} resplits by patient: mean {sum(rates) / len(rates):.4f}, "
            f"{num_kept}/{num_resplits} at most {alpha + TOLERANCE:.2f}"
        )
    logger.info("threshold in %s", path)
    if calibration is not None:
        data = "data not described" if source.store is None else source.store.info.description
        fitted = fit_calibration(predictions, split=references.split, data=data, path=validation)
        write_calibration(calibration, fitted)
        typer.echo(fitted.describe())
        logger.info("calibration in %s", calibration)
