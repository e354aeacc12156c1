"""`lapse index`: a folder of DICOMs -> a table of own films."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import Annotated

import typer

from lapse.cli.console import progress_bar

logger = logging.getLogger(__name__)


def index_command(
    folder: Annotated[Path, typer.Argument(help="Folder of the DICOM files, with subfolders.")],
    out: Annotated[Path, typer.Argument(help="CSV to write, with one row per radiograph.")],
    *,
    key: Annotated[
        Path | None,
        typer.Option(
            help="File with a secret of 16 bytes or more: the same key gives the same hashes.",
            show_default="random, not kept",
        ),
    ] = None,
) -> None:
    """Read the headers of DICOM radiographs into a table for `lapse prepare`.

    The table has hashes instead of PatientID and StudyInstanceUID, the date and order of each
    study, view, modality and path. It has no name and no other identifier.
    """
    from lapse.core.files import check_output_file
    from lapse.data.datasets.dicom_index import index_films, write_index

    check_output_file(out)
    secret = secrets.token_bytes(32) if key is None else key.read_bytes().strip()
    with progress_bar("index") as progress:
        index = index_films(folder, key=secret, progress=progress)
    write_index(index, out)
    num_studies = len({row.study for row in index.rows})
    num_patients = len({row.patient for row in index.rows})
    message = "%d radiographs of %d studies of %d patients in %s"
    logger.info(message, len(index.rows), num_studies, num_patients, out)
    logger.info("refused  %d", index.refused.total)
    for line in (*index.refused.lines(), *(f"noted: {line}" for line in index.noted.lines())):
        logger.info("  %s", line)
    logger.info("study dates remain in the table: treat it as confidential")
