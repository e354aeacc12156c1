"""`lapse init-data`: a template and an example of a table of own films."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import progress_bar

logger = logging.getLogger(__name__)


def init_data_command(
    folder: Annotated[Path, typer.Argument(help="New folder for the template and the example.")],
    *,
    patients: Annotated[
        int, typer.Option(min=4, help="Number of simulated patients in the example.")
    ] = 4,
    size: Annotated[
        int, typer.Option(min=64, help="Longest side of the example images in pixels.")
    ] = 256,
    seed: Annotated[int, typer.Option(help="Seed of the simulated patients.")] = 0,
) -> None:
    """Write the template of a table for your own films, and a filled example.

    The example is simulated: patients, images, findings, reports and boxes.
    """
    from lapse.phantom.dataset.plain_example import write_example

    with progress_bar("example") as progress:
        num_images = write_example(
            folder, patients=patients, seed=seed, size=size, progress=progress
        )
    example = folder / "example"
    logger.info("%s: fill in one row per image", folder / "template.csv")
    logger.info("%s: %d simulated images; try it:", example, num_images)
    logger.info("lapse prepare %s --images %s STORE", example / "films.csv", example / "images")
