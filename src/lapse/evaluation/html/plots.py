"""Plots of an evaluation as inline SVG: reliability, risk against coverage, bars.

All axes that hold a share run from 0 to 1, so that two pages can be laid side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lapse.evaluation.html.elements import escape
from lapse.evaluation.html.style import COLOURS
from lapse.metrics.calibration import Bin, RiskPoint

SIDE, LEFT, BOTTOM, TOP, RIGHT = 320, 46, 40, 14, 14
MOST_POINTS = 400  # of a curve; more cannot be seen


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: a share in [0, 1], its interval where known, and words behind it."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


def reliability_plot(curves: Mapping[str, Sequence[Bin]]) -> str:
    """What was said against what was right; on the diagonal a probability is true."""
    marks = [_axes("said: probability", "right: share")]
    marks.append(_line([(0.0, 0.0), (1.0, 1.0)], "#9aa5b1", "4 3"))
    for place, bins in enumerate(curves.values()):
        colour = COLOURS[place % len(COLOURS)]
        for one in bins:
            marks.append(_line([(one.said, one.low), (one.said, one.high)], colour, ""))
        marks.append(_line([(one.said, one.right) for one in bins], colour, ""))
        for one in bins:
            x, y = _at(one.said, one.right)
            told = f"said {one.said:.2f}, right {one.right:.2f} of {one.count}"
            marks.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">'
                f"<title>{told}</title></circle>"
            )
    return _figure("Reliability", marks, list(curves))


def risk_plot(curves: Mapping[str, Sequence[RiskPoint]]) -> str:
    """The share of wrong ones among the surest, against how many are kept."""
    marks = [_axes("kept: share of the surest", "wrong among them: share")]
    for place, points in enumerate(curves.values()):
        step = -(-len(points) // MOST_POINTS)
        some = [*points[::step], points[-1]]
        drawn = [(one.coverage, one.risk) for one in some]
        marks.append(_line(drawn, COLOURS[place % len(COLOURS)], ""))
    return _figure("Risk and coverage", marks, list(curves))


def bar_chart(title: str, bars: Sequence[Bar], *, note: str = "") -> str:
    """Horizontal bars of shares, longest name first to be read like a list."""
    rows = []
    for bar in bars:
        whisker = ""
        if bar.low is not None and bar.high is not None:
            whisker = (
                f'<span class="whisker" style="left:{100 * bar.low:.1f}%;'
                f'width:{100 * (bar.high - bar.low):.1f}%"></span>'
            )
        rows.append(
            f'<div class="bar"><span class="name">{escape(bar.label)}</span><span class="rail">'
            f'<span class="fill" style="width:{100 * bar.value:.1f}%"></span>{whisker}</span>'
            f'<span class="value">{bar.value:.2f}</span>'
            f'<span class="quiet">{escape(bar.note)}</span></div>'
        )
    foot = f'<p class="note">{escape(note)}</p>' if note else ""
    return (
        f'<figure class="chart bars"><figcaption class="title">{escape(title)}</figcaption>'
        f"{''.join(rows)}{foot}</figure>"
    )


def _at(x: float, y: float) -> tuple[float, float]:
    return LEFT + (SIDE - LEFT - RIGHT) * x, SIDE - BOTTOM - (SIDE - BOTTOM - TOP) * y


def _line(points: Sequence[tuple[float, float]], colour: str, dash: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_at(*point) for point in points))
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>'


def _axes(across: str, up: str) -> str:
    marks = []
    for step in range(0, 6):
        value = step / 5
        x, y = _at(value, value)
        marks.append(
            f'<line x1="{LEFT}" x2="{SIDE - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.1f}</text>'
            f'<text x="{x:.1f}" y="{SIDE - BOTTOM + 15}" text-anchor="middle">{value:.1f}</text>'
        )
    middle = LEFT + (SIDE - LEFT - RIGHT) / 2
    marks.append(
        f'<text x="{middle:.0f}" y="{SIDE - 8}" text-anchor="middle">{escape(across)}</text>'
        f'<text transform="translate(12 {SIDE / 2:.0f}) rotate(-90)" text-anchor="middle">'
        f"{escape(up)}</text>"
    )
    return "".join(marks)


def _figure(title: str, marks: Sequence[str], names: Sequence[str]) -> str:
    keys = "".join(
        f'<span><span class="key" style="background:{COLOURS[place % len(COLOURS)]}"></span>'
        f"{escape(name)}</span>"
        for place, name in enumerate(names)
    )
    return (
        f'<figure class="chart square"><figcaption class="title">{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label="{escape(title)}">'
        f'{"".join(marks)}</svg><figcaption class="keys">{keys}</figcaption></figure>'
    )
