"""One self-contained HTML page: what was run, what it scored, and what the answers look like.

No script, no network, no outside font: curves and boxes are inline SVG, images are PNG data
inside the page. Everything that reaches the page is escaped.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lapse.types import Box

RESEARCH_USE = (
    "Research use only. Not a medical device; no answer on this page is a diagnosis. "
    "“Missing” means not mentioned, not proven resolved."
)
# Okabe-Ito colours: told apart with colour-blind eyes too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MAX_STEPS = 5  # of an axis

Pixels = NDArray[np.uint8]


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


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of already formatted cells; `marked` names the rows to be set in bold."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    marked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PairCase:
    """A test pair and what was said of it. Images are [S, S] uint8."""

    reference: Pixels
    main: Pixels
    question: str
    truth: str
    answer: str
    verdict: str
    is_right: bool


@dataclass(frozen=True, slots=True)
class BoxCase:
    """A region on an image: the true box, the predicted one (None: malformed), the words."""

    label: str
    truth: Box
    predicted: Box | None
    words: str
    truth_words: str


@dataclass(frozen=True, slots=True)
class Grounding:
    """One image [S, S] uint8 with the boxes that were asked for."""

    image: Pixels
    title: str
    cases: tuple[BoxCase, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """All that the report shows, in its order."""

    title: str
    summary: tuple[str, ...]
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    pairs: tuple[PairCase, ...] = ()
    grounding: tuple[Grounding, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


def write_page(path: Path, page: Page) -> Path:
    """Write the page; returns its path."""
    path.write_text(render_page(page), encoding="utf-8")
    return path


def render_page(page: Page) -> str:
    """The page as HTML text."""
    parts = [f"<h1>{_escape(page.title)}</h1>", f'<p class="safety">{RESEARCH_USE}</p>']
    parts += [f"<p>{_escape(line)}</p>" for line in page.summary]
    if page.tables:
        parts.append("<h2>Scores</h2>")
        parts += [_table(table) for table in page.tables]
    if page.charts:
        parts.append("<h2>Learning curves</h2>")
        parts.append('<div class="charts">' + "".join(map(_chart, page.charts)) + "</div>")
    if page.pairs:
        parts.append("<h2>Test pairs</h2>")
        parts += [_pair(case, number) for number, case in enumerate(page.pairs, start=1)]
    if page.grounding:
        parts.append("<h2>Boxes and words of one test image</h2>")
        parts += [_grounding(item) for item in page.grounding]
    if page.provenance:
        parts.append("<h2>Where these numbers come from</h2>")
        rows = tuple((key, value) for key, value in page.provenance.items())
        parts.append(_table(Table("", ("what", "value"), rows), kind="facts"))
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_escape(page.title)}</title><style>{STYLE}</style></head>"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _escape(text: str) -> str:
    return html.escape(text, quote=True)


def _table(table: Table, kind: str = "scores") -> str:
    head = "".join(f"<th>{_escape(name)}</th>" for name in table.columns)
    rows = []
    for row in table.rows:
        style = ' class="marked"' if row and row[0] in table.marked else ""
        cells = "".join(f"<td>{_escape(cell)}</td>" for cell in row)
        rows.append(f"<tr{style}>{cells}</tr>")
    title = f"<caption>{_escape(table.title)}</caption>" if table.title else ""
    note = f'<p class="note">{_escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="scroll"><table class="{kind}">{title}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{note}"
    )


def _image(pixels: Pixels, alt: str) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{_escape(alt)}" src="data:image/png;base64,{data}">'


def _pair(case: PairCase, number: int) -> str:
    style = "right" if case.is_right else "wrong"
    return (
        f'<section class="pair"><h3>Pair {number}</h3><div class="seen"><div class="images">'
        f"<figure>{_image(case.reference, f'reference image of pair {number}')}"
        "<figcaption>reference</figcaption></figure>"
        f"<figure>{_image(case.main, f'main image of pair {number}')}"
        "<figcaption>main</figcaption></figure></div><dl>"
        f"<dt>Question</dt><dd>{_escape(case.question)}</dd>"
        f"<dt>Truth</dt><dd>{_escape(case.truth)}</dd>"
        f'<dt>Answer</dt><dd class="{style}">{_escape(case.answer) or "(empty)"}</dd>'
        f"<dt>Changes</dt><dd>{_escape(case.verdict)}</dd></dl></div></section>"
    )


def _grounding(item: Grounding) -> str:
    overlay, rows = [], []
    for index, case in enumerate(item.cases):
        colour = COLOURS[index % len(COLOURS)]
        overlay.append(_rectangle(case.truth, colour, dashed=True))
        overlap = "malformed box: a miss"
        if case.predicted is not None:
            overlay.append(_rectangle(case.predicted, colour, dashed=False))
            overlap = f"IoU {case.truth.iou(case.predicted):.2f}"
        rows.append(
            f'<li><span class="key" style="background:{colour}"></span>'
            f"<b>{_escape(case.label)}</b>, {overlap}<br>"
            f"said: {_escape(case.words) or '(nothing)'}<br>"
            f"truth: {_escape(case.truth_words)}</li>"
        )
    return (
        f'<section class="pair"><h3>{_escape(item.title)}</h3><div class="ground">'
        f'<div class="overlay">{_image(item.image, item.title)}'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none">{"".join(overlay)}</svg></div>'
        f'<ul>{"".join(rows)}</ul></div><p class="note">Dashed: the annotation. Solid: the '
        "model's box for that region name (CAREF). The words are what it says of the region.</p>"
        "</section>"
    )


def _rectangle(box: Box, colour: str, *, dashed: bool) -> str:
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<rect x="{100 * box.x_min:.2f}" y="{100 * box.y_min:.2f}" '
        f'width="{100 * (box.x_max - box.x_min):.2f}" '
        f'height="{100 * (box.y_max - box.y_min):.2f}" fill="none" stroke="{colour}" '
        f'stroke-width="2" vector-effect="non-scaling-stroke"{dash}/>'
    )


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


def _chart(chart: Chart) -> str:
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
            f"{_escape(curve.name)}</span>"
        )
    return (
        f'<figure class="chart"><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{_escape(chart.title)}"><text x="{left}" y="14" class="title">'
        f"{_escape(chart.title)}</text>{''.join(marks)}{''.join(lines)}"
        f'<text x="{width - right}" y="{height - 4}" text-anchor="end">'
        f"steps; {_escape(chart.y_label)}"
        f'</text></svg><figcaption class="keys">{"".join(keys)}</figcaption></figure>'
    )


STYLE = """
:root{color-scheme:light}
body{margin:0;background:#f6f7f8;color:#1b1f23;font:15px/1.5 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:24px 20px 60px}
h1{font-size:26px;margin:0 0 8px}h2{font-size:20px;margin:34px 0 10px}
h3{font-size:16px;margin:0 0 8px}
.safety{background:#fff4d6;border-left:4px solid #e69f00;padding:8px 12px}
.note{color:#4a5560;font-size:13px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;background:#fff;margin:12px 0;font-size:13.5px}
caption{text-align:left;font-weight:600;padding:4px 0}
th,td{padding:5px 7px;border-bottom:1px solid #e1e5e9;text-align:right;white-space:nowrap}
th{white-space:normal;vertical-align:bottom;background:#eef1f4}
th:first-child,td:first-child{text-align:left}
tr.marked td{font-weight:600;background:#eef6fc}
table.facts td,table.facts th{text-align:left;white-space:normal}
.pair{background:#fff;border:1px solid #e1e5e9;border-radius:6px;padding:14px;margin:14px 0}
.seen{display:flex;gap:22px;flex-wrap:wrap}.seen dl{flex:1;min-width:300px}
.images{display:flex;gap:10px}figure{margin:0}figcaption{font-size:13px;color:#4a5560}
.images img{width:250px;max-width:100%;background:#000}
dl{display:grid;grid-template-columns:80px 1fr;gap:8px 10px;margin:0;align-content:start}
dt{color:#4a5560}dd{margin:0}
.right{color:#00664a}.wrong{color:#a33a00}
.ground{display:flex;gap:16px;flex-wrap:wrap}
.overlay{position:relative;width:380px;max-width:100%}
.overlay img{width:100%;display:block}.overlay svg{position:absolute;inset:0;width:100%;height:100%}
.ground ul{flex:1;min-width:260px;margin:0;padding:0;list-style:none;font-size:13.5px}
.ground li{margin-bottom:8px}.key{display:inline-block;width:12px;height:12px;margin-right:6px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:14px}
.chart{background:#fff;border:1px solid #e1e5e9;border-radius:6px;padding:8px}
.chart svg{width:100%;height:auto}.chart text{font-size:11px;fill:#4a5560}
.chart text.title{font-size:13px;font-weight:600;fill:#1b1f23}.grid{stroke:#e1e5e9}
.keys span{margin-right:12px;white-space:nowrap}
"""
