"""Rendering speed: images per second per core, and the scaling from one process to two.

Rounds alternate between one and two processes, so other load on the machine affects both. Each
process renders the same number of images of different patients. Compilation is excluded.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context

import numpy as np

from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.patients.state import Finding, Visit
from lapse.phantom.rendering.render import render

VISITS = 3  # images per patient, which share a vessel tree as in `lapse simulate`


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians over rounds."""

    size: int
    per_second: float  # images, one process
    per_core_second: float  # images per second of processor time, one process
    scaling: float  # processor time per image: one process / two at a time
    clock_scaling: float  # rate of two processes / twice the rate of one, on a quiet machine
    rounds: int
    load: float  # average load of the machine in the minute before, in processes


def render_images(first: int, count: int, size: int) -> tuple[float, float]:
    """Render `count` images from patient `first` up; wall-clock and processor seconds."""
    clock, processor = time.perf_counter(), time.process_time()
    for index in range(count):
        patient, visit = first + index // VISITS, index % VISITS
        person = draw_patient(1, patient)
        acquisition = draw_acquisition(1, patient, visit, 0)
        finding = Finding("edema", "bilateral", "", 0.5, "", patient)
        state = Visit(patient, visit, datetime(2150, 1, 1), (finding,) if index % 2 else (), ())
        render(person, state, acquisition, size)
    return time.perf_counter() - clock, time.process_time() - processor


def measure_speed(*, size: int = 448, rounds: int = 5, count: int = 24) -> Speed:
    """Measure images per second of one process, and the scaling to two.

    Raises:
        ValueError: fewer than one round, or fewer images than those of one patient.
    """
    if rounds < 1 or count < VISITS:
        raise ValueError(f"{rounds} rounds of {count} images: at least 1 round of {VISITS}")
    load = os.getloadavg()[0]
    single, core, ratios, clocks = [], [], [], []
    with get_context("spawn").Pool(2) as pool:
        pool.starmap(render_images, [(0, VISITS, size)] * 4)  # compile in both
        for index in range(rounds):
            first = 1000 * index
            clock, processor = pool.apply(render_images, (first, count, size))
            single.append(count / clock)
            core.append(count / processor)
            jobs = [(first + 100, count, size), (first + 200, count, size)]
            start = time.perf_counter()
            times = pool.starmap(render_images, jobs, chunksize=1)
            rate = 2 * count / (time.perf_counter() - start)
            clocks.append(rate / (2 * single[-1]))
            ratios.append(2 * processor / sum(seconds for _, seconds in times))
    return Speed(
        size,
        float(np.median(single)),
        float(np.median(core)),
        float(np.median(ratios)),
        float(np.median(clocks)),
        rounds,
        load,
    )
