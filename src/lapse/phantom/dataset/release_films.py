"""Pixels, reports and ids of simulated films, for the layouts of releases with reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lapse.core.seeding import derive_seed
from lapse.phantom.dataset.dicom_file import stored_values
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.patient_files import study_report
from lapse.phantom.dataset.release_tree import SimulatedFilm
from lapse.phantom.patients.state import Visit
from lapse.phantom.text.report import Report


def earlier_visit(film: SimulatedFilm) -> Visit | None:
    """The visit before that of a film, None for the first."""
    return film.history.exposures[film.number - 1].visit if film.number else None


def report_of(config: SimulateConfig, film: SimulatedFilm) -> Report:
    """The report of a film; it refers to the visit before with `config.priors`."""
    return study_report(config, film.history, film.exposure.visit, earlier_visit(film))


def pixels16(film: SimulatedFilm) -> NDArray[np.uint16]:
    """[H, W]: 12 bits of values before equalisation, bones bright."""
    return np.asarray(stored_values(film.rendered.tone, film.exposure.acquisition), np.uint16)


def digits(count: int, *key: str | int) -> str:
    """A text of this number of digits without a leading zero, the same for the same key."""
    text = "".join(f"{derive_seed(*key, part):020d}" for part in range(-(-count // 20)))
    return f"{1 + int(text[0]) % 9}{text[1:count]}"


def write_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """A PNG of the bits of its pixels; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=1)
