"""Row: simulated radiographs a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.row import ROUNDS, Check, Row
from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.findings import draw_visits
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.rendering.render import render

SIZE, IMAGES = 448, 10
SKETCH = 15  # images a second and core of the design's sketch


def run(say: Callable[[str], None]) -> Row:
    """Images a second and core, the kernels compiled before."""
    cases = []
    for number in range(IMAGES):
        visit = draw_visits(5, number, 1)[0]
        patient = draw_patient(5, number)
        cases.append((patient, visit, draw_acquisition(5, number, 0, 0)))
    first = render(*cases[0], SIZE).image
    is_equal = bool((first == render(*cases[0], SIZE).image).all())
    say("simulate: rendering")
    rates = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for case in cases:
            render(*case, SIZE)
        rates.append(IMAGES / (time.process_time() - started))
    median = sorted(rates)[ROUNDS // 2]
    return Row(
        "simulate",
        f"render at {SIZE} px, one core",
        f"the design's sketch, {SKETCH} images a second (a figure, it does not run here)",
        (
            Check(
                "images a second of one core",
                median,
                20,
                detail=f"minimum {min(rates):.1f}, {ROUNDS} rounds",
            ),
            Check("equal arguments, equal bytes", float(is_equal), 1.0),
        ),
        f"a ray for each of {SIZE * SIZE:,} pixels through every volume it meets",
        (
            "by seconds of computing, not by the wall clock; an absolute rate all the same, which "
            "depends on the machine",
        ),
    )
