"""Learning curves as inline SVG, on axes with round numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lapse.evaluation.html.elements import escape
from lapse.evaluation.html.style import COLOURS

MAX_STEPS = 5  # of an axis


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart: (step, value) points; `is_held_out` draws it solid with dots."""

    name: str
    points: tuple[tuple[int, float], ...]
    is_held_out: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves that share axes. `least_range`: a smaller spread than this is drawn as flat."""

    title: str
    curves: tuple[Curve, ...]
    y_label: str = "loss per token (nats)"
    least_range: float = 1e-6


def ticks(values: Sequence[float], least_range: float) -> list[tuple[float, str]]:
    """Round levels of an axis from zero or below to above every value, with their labels.

    Args:
        values: what the axis must hold.
        least_range: the axis spans at least this much, so that noise is not drawn as a curve.

    >>> [label for _, label in ticks([0.3, 6.7], 1e-6)]
    ['0', '2', '4', '6', '8']
    >>> [label for _, label in ticks([-0.0001, 0.0008], 0.04)]
    ['-0.01', '0.00', '0.01', '0.02', '0.03', '0.04']
    """
    low, high = min(0.0, *values), max(0.0, *values)
    high = max(high, least_range)
    rough = (high - low) / MAX_STEPS
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(unit for unit in (1, 2, 5, 10) if unit * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(index * step, f"{index * step:.{decimals}f}") for index in range(first, last + 1)]


def chart_html(chart: Chart) -> str:
    """One chart with its key, "" where no curve has a point."""
    width, height, left, bottom, top, right = 460, 260, 46, 34, 26, 10
    points = [point for curve in chart.curves for point in curve.points]
    if not points:
        return ""
    last = max(step for step, _ in points) or 1
    levels = ticks([value for _, value in points], chart.least_range)
    low, high = levels[0][0], levels[-1][0]

    def place(step: int, value: float) -> tuple[float, float]:
        x = left + (width - left - right) * step / last
        y = height - bottom - (height - bottom - top) * (value - low) / (high - low)
        return x, y

    marks = []
    for value, label in levels:
        _, y = place(0, value)
        marks.append(
            f'<line x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
        )
    whole = dict.fromkeys(round(value) for value, _ in ticks([last], 1) if value <= last)
    for step in whole:
        x, _ = place(step, low)
        marks.append(
            f'<text x="{x:.1f}" y="{height - bottom + 16}" text-anchor="middle">{step}</text>'
        )
    lines, keys = [], []
    for index, curve in enumerate(chart.curves):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in curve.points))
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if curve.is_held_out:
            lines += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>'
                for x, y in (place(*point) for point in curve.points)
            ]
        keys.append(
            f'<span><span class="key" style="background:{colour}"></span>'
            f"{escape(curve.name)}</span>"
        )
    return (
        f'<figure class="chart"><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(chart.title)}"><text x="{left}" y="14" class="title">'
        f"{escape(chart.title)}</text>{''.join(marks)}{''.join(lines)}"
        f'<text x="{width - right}" y="{height - 4}" text-anchor="end">'
        f"steps; {escape(chart.y_label)}"
        f'</text></svg><figcaption class="keys">{"".join(keys)}</figcaption></figure>'
    )
