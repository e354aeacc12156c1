"""Row: simulated radiographs per second."""

from __future__ import annotations

import statistics
import time

from benchmarks.row import ROUNDS, Check, Row, logger
from lapse.phantom.patients.acquisition import draw_acquisition
from lapse.phantom.patients.findings import draw_visits
from lapse.phantom.patients.patient import draw_patient
from lapse.phantom.rendering.render import render

SIZE, IMAGES = 448, 10
DESIGN_RATE = 15  # images per second and core that the design of the simulator assumed


def run() -> Row:
    """Images per second and core, after the kernels were compiled."""
    cases = [
        (draw_patient(5, number), draw_visits(5, number, 1)[0], draw_acquisition(5, number, 0, 0))
        for number in range(IMAGES)
    ]
    first = render(*cases[0], SIZE).image
    is_equal = bool((first == render(*cases[0], SIZE).image).all())
    logger.info("simulate: measuring")
    rates = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for case in cases:
            render(*case, SIZE)
        rates.append(IMAGES / (time.process_time() - started))
    detail = f"minimum {min(rates):.1f}, {ROUNDS} rounds"
    return Row(
        "simulate",
        f"render at {SIZE} px, one core",
        f"the design, {DESIGN_RATE} images per second (an estimate that does not run here)",
        (
            Check("images per second of one core", statistics.median(rates), 20, detail=detail),
            Check("equal arguments, equal bytes", float(is_equal), 1.0),
        ),
        f"one ray for each of {SIZE * SIZE:,} pixels through every volume that it meets",
        ("CPU seconds, not wall-clock; still an absolute rate that depends on the machine",),
    )
