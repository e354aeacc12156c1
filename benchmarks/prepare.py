"""Row: reading radiographs at the training size, against a full decode by Pillow."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.material import scratch
from benchmarks.row import Check, Row, alternate
from lapse.data.io.worker_pool import Begin, run_isolated
from lapse.images import read_at
from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.findings import draw_visits
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.rendering.render import render

FILES, ROWS, COLUMNS, SIZE = 6, 3056, 2544, 448
PARTS = 12  # lists of files that two processes share
ROUNDS_OF_TWO = 5


def radiographs() -> list[Path]:
    """Simulated radiographs at MIMIC-CXR's usual size, with the noise of a detector."""
    folder = scratch() / "jpegs"
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    found = []
    for number in range(FILES):
        path = folder / f"{number}.jpg"
        if not path.is_file():
            visit = draw_visits(3, number, 1)[0]
            patient = draw_patient(3, number)
            acquisition = draw_acquisition(3, number, 0, 0)
            image = render(patient, visit, acquisition, 768).image
            large = Image.fromarray(image).resize((COLUMNS, ROWS), Image.Resampling.BICUBIC)
            noisy = np.asarray(large, np.float32) + random.normal(0, 2.5, (ROWS, COLUMNS))
            grey = np.clip(noisy, 0, 255).astype(np.uint8)
            Image.fromarray(grey).save(path, quality=95)
        found.append(path)
    return found


def full_decode(path: Path) -> npt.NDArray[np.uint8]:
    """The peer: every pixel decoded, then bicubic."""
    with Image.open(path) as opened:
        square = opened.convert("L").resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return np.asarray(square)


@dataclass(frozen=True)
class Reading:
    """What a process of the crew does: reads a list of files."""

    def __call__(self, task: list[Path], refused: dict[str, str], begin: Begin) -> int:
        """Read the files; how many."""
        del refused
        for path in task:
            begin(path.name)
            read_at(path, SIZE)
        return len(task)


def by_processes(files: list[Path], count: int) -> float:
    """Seconds from the first finished part to the last, per part after the first ones.

    The start of the processes (imports) is not part of it: it does not grow with the data.
    """
    stamps = [
        time.perf_counter() for _ in run_isolated(Reading(), [files] * PARTS, processes=count)
    ]
    return (stamps[-1] - stamps[count - 1]) / (PARTS - count)


def run(say: Callable[[str], None]) -> Row:
    """Time for an image, difference in grey levels, and what a second process adds."""
    files = radiographs()
    say("prepare: alternating")
    ratios = alternate(
        lambda: [read_at(path, SIZE) for path in files],
        lambda: [full_decode(path) for path in files],
    )
    differences = [
        np.abs(read_at(path, SIZE).pixels.astype(int) - full_decode(path).astype(int)).mean()
        for path in files
    ]
    say("prepare: one and two processes, alternating")
    scale = [by_processes(files, 1) / by_processes(files, 2) for _ in range(ROUNDS_OF_TWO)]
    megabytes = sum(path.stat().st_size for path in files) / FILES / 1e6
    rate = FILES / min(ratios.ours)
    median = sorted(scale)[len(scale) // 2]
    return Row(
        "prepare",
        "read_at (libjpeg decodes at a half or a quarter)",
        "Pillow, full decode and bicubic",
        (
            ratios.check("time an image, one core", 1.5),
            Check("mean difference, grey levels of 255", float(max(differences)), 0.5, False),
            Check(
                "two processes over one",
                median,
                1.9,
                detail=f"minimum {min(scale):.2f} of {ROUNDS_OF_TWO} rounds, without their start",
            ),
        ),
        f"the Huffman codes of {megabytes:.1f} MB an image must be read whatever the size wanted; "
        f"here {rate:.0f} images a second and core",
        (f"{ROWS} x {COLUMNS} to {SIZE}; Pillow alone, no other JPEG library",),
    )
