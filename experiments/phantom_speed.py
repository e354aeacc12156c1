"""Rendering speed at 448 px with one and two processes.

    OMP_NUM_THREADS=1 python experiments/phantom_speed.py [rounds]

Rounds alternate between one and two processes, so other load on the machine affects both. Each
process renders the same number of images of different patients. Compilation is excluded. Wall-clock
rates depend on other load on the machine.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime
from multiprocessing import get_context
from statistics import median

from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.patients.state import Finding, Visit
from lapse.phantom.rendering.render import render

SIZE = 448
IMAGES = 24  # per round and process
VISITS = 3  # images per patient, which share a vessel tree as in `lapse simulate`


def render_images(first: int, count: int) -> tuple[float, float]:
    """Render `count` images from patient `first` up; wall-clock and processor seconds."""
    clock, processor = time.perf_counter(), time.process_time()
    for index in range(count):
        patient, visit = first + index // VISITS, index % VISITS
        finding = Finding("edema", "bilateral", "", 0.5, "", patient)
        state = Visit(patient, visit, datetime(2150, 1, 1), (finding,) if index % 2 else (), ())
        render(draw_patient(1, patient), state, draw_acquisition(1, patient, visit, 0), SIZE)
    return time.perf_counter() - clock, time.process_time() - processor


def main(rounds: int = 7) -> None:
    load = os.getloadavg()[0]
    rates, core_rates, scaling, clock_scaling = [], [], [], []
    with get_context("spawn").Pool(2) as pool:
        pool.starmap(render_images, [(0, VISITS)] * 4)  # compile in both processes
        for index in range(rounds):
            first = 1000 * index
            clock, processor = pool.apply(render_images, (first, IMAGES))
            rates.append(IMAGES / clock)
            core_rates.append(IMAGES / processor)
            start = time.perf_counter()
            jobs = [(first + 100, IMAGES), (first + 200, IMAGES)]
            times = pool.starmap(render_images, jobs, chunksize=1)
            both = 2 * IMAGES / (time.perf_counter() - start)
            clock_scaling.append(both / (2 * rates[-1]))
            scaling.append(2 * processor / sum(seconds for _, seconds in times))
    print(f"{SIZE} px, {rounds} rounds, load {load:.1f}")
    print(f"  {median(core_rates):.1f} images per second of processor time")
    print(f"  {median(rates):.1f} images per second of wall-clock time")
    print(f"  two processes: {median(scaling):.0%} of the rate of one, by processor time")
    print(f"  two processes: {median(clock_scaling):.0%} of twice the rate of one, by wall clock")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
