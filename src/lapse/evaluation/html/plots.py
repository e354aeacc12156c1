"""Plots of HTML reports: what `plot` in templates/macros.html.jinja draws as inline SVG.

Axes of fractions span 0 to 1 on every page, so that pages can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lapse.metrics.calibration import Bin, RiskPoint

MAX_POINTS = 400  # of a curve; more are not visible
Ticks = tuple[tuple[float, str], ...]
FRACTIONS: Ticks = tuple((tenths / 10, f"{tenths / 10:.1f}") for tenths in range(0, 11, 2))


@dataclass(frozen=True, slots=True)
class Line:
    """Connected (x, y) points in the units of the axes; `color` None is a dashed gray line."""

    points: tuple[tuple[float, float], ...]
    color: int | None


@dataclass(frozen=True, slots=True)
class Dot:
    """A point with a text that appears when the pointer rests on it."""

    x: float
    y: float
    color: int
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines and dots on two axes. `x_max`: the x axis spans 0 to this; y spans its ticks."""

    title: str
    x_label: str
    y_label: str
    names: tuple[str, ...]
    lines: tuple[Line, ...]
    dots: tuple[Dot, ...] = ()
    x_max: float = 1.0
    x_ticks: Ticks = FRACTIONS
    y_ticks: Ticks = FRACTIONS
    width: int = 400
    height: int = 370
    left: int = 50
    right: int = 14
    top: int = 12
    bottom: int = 40

    def x(self, value: float) -> float:
        """Horizontal position of a value in the drawing."""
        return round(self.left + (self.width - self.left - self.right) * value / self.x_max, 1)

    def y(self, value: float) -> float:
        """Vertical position of a value in the drawing."""
        low, high = self.y_ticks[0][0], self.y_ticks[-1][0]
        height = self.height - self.bottom - self.top
        return round(self.height - self.bottom - height * (value - low) / (high - low), 1)


@dataclass(frozen=True, slots=True)
class Bar:
    """A fraction in [0, 1], its interval where known, and a note."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class BarChart:
    """Horizontal bars of fractions, in the given order."""

    title: str
    bars: tuple[Bar, ...]
    note: str = ""


def reliability_plot(curves: Mapping[str, Sequence[Bin]]) -> Plot:
    """Stated probability against the fraction that is right; the diagonal is perfect."""
    lines = [Line(((0.0, 0.0), (1.0, 1.0)), None)]
    dots = []
    for color, bins in enumerate(curves.values()):
        for item in bins:
            lines.append(Line(((item.probability, item.low), (item.probability, item.high)), color))
            text = f"stated {item.probability:.2f}, right {item.accuracy:.2f} of {item.count}"
            dots.append(Dot(item.probability, item.accuracy, color, text))
        lines.append(Line(tuple((item.probability, item.accuracy) for item in bins), color))
    labels = ("Reliability", "stated probability", "fraction that is right")
    return Plot(*labels, tuple(curves), tuple(lines), tuple(dots))


def risk_plot(curves: Mapping[str, Sequence[RiskPoint]]) -> Plot:
    """The fraction of errors among the most confident answers, against how many are kept."""
    lines = []
    for color, points in enumerate(curves.values()):
        step = -(-len(points) // MAX_POINTS)
        kept = [*points[::step], points[-1]]
        lines.append(Line(tuple((point.coverage, point.risk) for point in kept), color))
    return Plot(
        "Risk and coverage",
        "coverage: fraction kept, most confident first",
        "risk: fraction wrong among them",
        tuple(curves),
        tuple(lines),
    )
