"""Learning curves as plots, on axes with round numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lapse.evaluation.html.plots import Dot, Line, Plot

MAX_TICKS = 5  # steps of an axis


@dataclass(frozen=True, slots=True)
class Curve:
    """(step, value) points of one line; the points of a validation curve are marked by dots."""

    name: str
    points: tuple[tuple[int, float], ...]
    is_validation: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves that share axes. `min_range`: the y axis spans at least this much."""

    title: str
    curves: tuple[Curve, ...]
    y_label: str = "loss per token (nats)"
    min_range: float = 1e-6


def ticks(values: Sequence[float], min_range: float) -> list[tuple[float, str]]:
    """Round levels of an axis from zero or below to above every value, with their labels.

    Args:
        values: what the axis must hold.
        min_range: the axis spans at least this much, so that noise does not look like a trend.

    >>> [label for _, label in ticks([0.3, 6.7], 1e-6)]
    ['0', '2', '4', '6', '8']
    >>> [label for _, label in ticks([-0.0001, 0.0008], 0.04)]
    ['-0.01', '0.00', '0.01', '0.02', '0.03', '0.04']
    """
    low, high = min(0.0, *values), max(min_range, *values)
    rough_step = (high - low) / MAX_TICKS
    power = 10.0 ** math.floor(math.log10(rough_step))
    step = power * next(unit for unit in (1, 2, 5, 10) if unit * power >= rough_step * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(index * step, f"{index * step:.{decimals}f}") for index in range(first, last + 1)]


def line_plot(chart: Chart) -> Plot | None:
    """The chart as a plot, None where no curve has a point."""
    points = [point for curve in chart.curves for point in curve.points]
    if not points:
        return None
    last_step = max(step for step, _ in points) or 1
    steps = dict.fromkeys(round(value) for value, _ in ticks([last_step], 1) if value <= last_step)
    curves = tuple(enumerate(chart.curves))
    return Plot(
        chart.title,
        "steps",
        chart.y_label,
        tuple(curve.name for curve in chart.curves),
        tuple(Line(curve.points, color) for color, curve in curves),
        tuple(
            Dot(step, value, color, f"{value:.4g} at step {step}")
            for color, curve in curves
            if curve.is_validation
            for step, value in curve.points
        ),
        x_max=last_step,
        x_ticks=tuple((step, str(step)) for step in steps),
        y_ticks=tuple(ticks([value for _, value in points], chart.min_range)),
        height=260,
    )
