"""Row: reading radiographs at the training size, against a full decode by Pillow."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.inputs import scratch
from benchmarks.row import ROUNDS, Check, Row, alternate, at_most, logger
from lapse.data.io.worker_pool import ItemCallback, run_isolated
from lapse.images import equalise, read_at
from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.findings import draw_visits
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.rendering.render import render

FILES, ROWS, COLUMNS, SIZE = 6, 3056, 2544, 448
PARTS = 12  # lists of files that the processes share


def radiographs() -> list[Path]:
    """Simulated radiographs of MIMIC-CXR's usual size, with the noise of a detector."""
    folder = scratch() / "jpegs"
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    paths = []
    for number in range(FILES):
        visit = draw_visits(3, number, 1)[0]
        image = render(draw_patient(3, number), visit, draw_acquisition(3, number, 0, 0), 768).image
        large = Image.fromarray(image).resize((COLUMNS, ROWS), Image.Resampling.BICUBIC)
        noisy = np.asarray(large, np.float32) + random.normal(0, 2.5, (ROWS, COLUMNS))
        grey = np.clip(noisy, 0, 255).astype(np.uint8)
        paths.append(folder / f"{number}.jpg")
        Image.fromarray(grey).save(paths[-1], quality=95)
    return paths


def full_decode(path: Path) -> npt.NDArray[np.uint8]:
    """The peer: every pixel decoded and equalised, then bicubic resizing."""
    with Image.open(path) as opened:
        film = equalise(opened.convert("L"))
        square = film.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return np.asarray(square)


@dataclass(frozen=True)
class ReadFiles:
    """The job of a worker process: read a list of files."""

    def __call__(self, task: list[Path], rejected: dict[str, str], on_item: ItemCallback) -> int:
        """Read the files; returns their number."""
        del rejected
        for path in task:
            on_item(path.name)
            read_at(path, SIZE)
        return len(task)


def seconds_per_part(paths: list[Path], processes: int) -> float:
    """Wall-clock seconds per list of files, without the start of the processes."""
    stamps = [
        time.perf_counter()
        for _ in run_isolated(ReadFiles(), [paths] * PARTS, num_workers=processes)
    ]
    return (stamps[-1] - stamps[processes - 1]) / (PARTS - processes)


def run() -> Row:
    """Time per image, difference in grey levels, and the gain of a second process."""
    paths = radiographs()
    logger.info("prepare: measuring one process")
    ratios = alternate(
        lambda: [read_at(path, SIZE) for path in paths],
        lambda: [full_decode(path) for path in paths],
    )
    difference = max(
        float(np.abs(read_at(path, SIZE).pixels.astype(int) - full_decode(path)).mean())
        for path in paths
    )
    logger.info("prepare: measuring one and two processes")
    gains = [seconds_per_part(paths, 1) / seconds_per_part(paths, 2) for _ in range(ROUNDS)]
    megabytes = sum(path.stat().st_size for path in paths) / FILES / 1e6
    rate = FILES / min(ratios.ours)
    detail = f"minimum {min(gains):.2f} of {ROUNDS} rounds, without their start"
    return Row(
        "prepare",
        "read_at (libjpeg decodes at a half or a quarter)",
        "Pillow, full decode, equalisation and bicubic",
        (
            ratios.check("time per image, one core", 1.5),
            at_most("mean difference, grey levels of 255", difference, 1.5),
            Check("two processes over one", statistics.median(gains), 1.9, detail=detail),
        ),
        f"the Huffman codes of {megabytes:.1f} MB per image are read at every size; {rate:.0f} "
        "images per second and core",
        (f"{ROWS} x {COLUMNS} to {SIZE}; Pillow only, no other JPEG library",),
    )
