"""DICOM films of one simulated patient, in order of time. No person."""

from __future__ import annotations

import io
import tempfile
from functools import cache
from pathlib import Path

from pydicom import dcmread

from lapse.images import decode_shown
from lapse.phantom.dataset.options import SimulateConfig
from lapse.phantom.dataset.writer import simulate

SEED = 2  # the packaged model states changes with regions for both pairs of this patient
DAYS = [1, 6]


@cache
def films() -> tuple[bytes, ...]:
    """Three films as DICOM."""
    return read_films(256)


def read_films(size: int) -> tuple[bytes, ...]:
    """The same three films with a longest side of `size` pixels."""
    config = SimulateConfig(patients=1, seed=SEED, size=size, visits=(3, 3), images="dicom")
    with tempfile.TemporaryDirectory() as folder:
        simulate(Path(folder), config)
        files = [path.read_bytes() for path in Path(folder).rglob("*.dcm")]
    return tuple(sorted(files, key=_time))


@cache
def pictures() -> tuple[bytes, ...]:
    """The same films as PNG."""
    encoded = []
    for film in films():
        buffer = io.BytesIO()
        decode_shown(film, 256).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    return tuple(encoded)


def _time(film: bytes) -> str:
    header = dcmread(io.BytesIO(film), stop_before_pixels=True)
    return f"{header.StudyDate} {header.StudyTime}"
