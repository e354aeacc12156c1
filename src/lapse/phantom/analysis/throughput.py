"""How fast images are simulated: per core, and by two processes against one.

Rounds alternate one and two processes, so that whatever else the machine does weighs on both;
each process renders the same number of images of its own patients. Compiling is not counted.
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

VISITS = 3  # images of one patient share its vessel tree, as in `lapse simulate`


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians over rounds."""

    size: int
    per_second: float  # images, one process
    per_core_second: float  # images per second of processor time, one process
    scaling: float  # processor time per image: one process / two at a time
    clock_scaling: float  # rate of two processes / twice the rate of one, on a quiet machine
    rounds: int
    load: float  # of the machine in the minute before, in processes


def render_some(first: int, count: int, size: int) -> tuple[float, float]:
    """Render `count` images from patient `first` on; seconds by the clock and of the processor."""
    clock, own = time.perf_counter(), time.process_time()
    for index in range(count):
        patient, visit = first + index // VISITS, index % VISITS
        person = draw_patient(1, patient)
        taken = draw_acquisition(1, patient, visit, 0)
        finding = Finding("edema", "bilateral", "", 0.5, "", patient)
        state = Visit(patient, visit, datetime(2150, 1, 1), (finding,) if index % 2 else (), ())
        render(person, state, taken, size)
    return time.perf_counter() - clock, time.process_time() - own


def measure_speed(*, size: int = 448, rounds: int = 5, count: int = 24) -> Speed:
    """Images per second of one process, and how two scale.

    Raises:
        ValueError: fewer than one round or fewer images than one patient has.
    """
    if rounds < 1 or count < VISITS:
        raise ValueError(f"{rounds} rounds of {count} images: at least 1 round of {VISITS}")
    load = os.getloadavg()[0]
    single, core, ratios, clocks = [], [], [], []
    with get_context("spawn").Pool(2) as pool:
        pool.starmap(render_some, [(0, VISITS, size)] * 4)  # compile in both
        for index in range(rounds):
            first = 1000 * index
            clock, own = pool.apply(render_some, (first, count, size))
            single.append(count / clock)
            core.append(count / own)
            jobs = [(first + 100, count, size), (first + 200, count, size)]
            start = time.perf_counter()
            spent = pool.starmap(render_some, jobs, chunksize=1)
            both = 2 * count / (time.perf_counter() - start)
            clocks.append(both / (2 * single[-1]))
            ratios.append(2 * own / sum(used for _, used in spent))
    return Speed(
        size,
        float(np.median(single)),
        float(np.median(core)),
        float(np.median(ratios)),
        float(np.median(clocks)),
        rounds,
        load,
    )
