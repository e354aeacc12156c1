"""One self-contained HTML page: what was run, what it scored, and what the answers look like.

No script, no network, no outside font: curves and boxes are inline SVG, images are PNG data
inside the page. Everything that reaches the page is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lapse.core.types import Box
from lapse.evaluation.html.elements import (
    Pixels,
    Table,
    escape,
    image_html,
    outlines,
    rectangle,
    table_html,
)
from lapse.evaluation.html.line_chart import Chart, chart_html
from lapse.evaluation.html.style import COLOURS, RESEARCH_USE, STYLE


@dataclass(frozen=True, slots=True)
class Opinion:
    """What another model says of a pair: answer, verdict, notes, and where it sees each finding.

    `boxes`: "reference" and "main" -> finding -> box, None for a malformed one.
    """

    name: str
    answer: str
    verdict: str
    is_right: bool
    notes: tuple[str, ...] = ()
    boxes: Mapping[str, Mapping[str, Box | None]] = field(default_factory=dict)


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
    opinion: Opinion | None = None


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
    parts = [f"<h1>{escape(page.title)}</h1>", f'<p class="safety">{RESEARCH_USE}</p>']
    parts += [f"<p>{escape(line)}</p>" for line in page.summary]
    if page.tables:
        parts.append("<h2>Scores</h2>")
        parts += [table_html(table) for table in page.tables]
    if page.charts:
        parts.append("<h2>Learning curves</h2>")
        parts.append('<div class="charts">' + "".join(map(chart_html, page.charts)) + "</div>")
    if page.pairs:
        parts.append("<h2>Test pairs</h2>")
        parts += [_pair(case, number) for number, case in enumerate(page.pairs, start=1)]
    if page.grounding:
        parts.append("<h2>Boxes and words of one test image</h2>")
        parts += [_grounding(item) for item in page.grounding]
    if page.provenance:
        parts.append("<h2>Where these numbers come from</h2>")
        rows = tuple((key, value) for key, value in page.provenance.items())
        parts.append(table_html(Table("", ("what", "value"), rows), kind="facts"))
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{STYLE}</style></head>"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _pair(case: PairCase, number: int) -> str:
    style = "right" if case.is_right else "wrong"
    figures = []
    for side, pixels in (("reference", case.reference), ("main", case.main)):
        image = image_html(pixels, f"{side} image of pair {number}")
        seen = _outlined(image, case.opinion, side)
        figures.append(f"<figure>{seen}<figcaption>{side}</figcaption></figure>")
    return (
        f'<section class="pair"><h3>Pair {number}</h3><div class="seen"><div class="images">'
        f"{''.join(figures)}</div><dl>"
        f"<dt>Question</dt><dd>{escape(case.question)}</dd>"
        f"<dt>Reference</dt><dd>{escape(case.truth)}</dd>"
        f'<dt>Answer</dt><dd class="{style}">{escape(case.answer) or "(empty)"}</dd>'
        f"<dt>Changes</dt><dd>{escape(case.verdict)}</dd>"
        f"{_opinion(case.opinion)}</dl></div></section>"
    )


def _opinion(opinion: Opinion | None) -> str:
    if opinion is None:
        return ""
    style = "right" if opinion.is_right else "wrong"
    notes = "".join(f"<br>{escape(note)}" for note in opinion.notes)
    keys = "".join(
        f'<span class="key" style="background:{colour}"></span>{escape(finding)}<br>'
        for finding, colour in _colours(opinion).items()
    )
    seen = f"<dt>Where it sees them</dt><dd>{keys}</dd>" if keys else ""
    return (
        f'<dt>{escape(opinion.name)}</dt><dd class="{style}">{escape(opinion.answer) or "(empty)"}'
        f"</dd><dt>Changes</dt><dd>{escape(opinion.verdict)}{notes}</dd>{seen}"
    )


def _outlined(image: str, opinion: Opinion | None, side: str) -> str:
    """An image with the boxes of an opinion drawn over it."""
    boxes = opinion.boxes.get(side, {}) if opinion is not None else {}
    if opinion is None or not boxes:
        return image
    colours = _colours(opinion)
    drawn = outlines([(box, colours[name]) for name, box in boxes.items() if box is not None])
    return (
        f'<div class="overlay">{image}<svg viewBox="0 0 100 100" preserveAspectRatio="none">'
        f"{drawn}</svg></div>"
    )


def _colours(opinion: Opinion) -> dict[str, str]:
    """One colour for a finding on both images."""
    findings = dict.fromkeys(finding for boxes in opinion.boxes.values() for finding in boxes)
    return {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(findings)}


def _grounding(item: Grounding) -> str:
    overlay, rows = [], []
    for index, case in enumerate(item.cases):
        colour = COLOURS[index % len(COLOURS)]
        overlay.append(rectangle(case.truth, colour, dashes="4 3"))
        overlap = "malformed box: a miss"
        if case.predicted is not None:
            overlay.append(rectangle(case.predicted, colour))
            overlap = f"IoU {case.truth.iou(case.predicted):.2f}"
        rows.append(
            f'<li><span class="key" style="background:{colour}"></span>'
            f"<b>{escape(case.label)}</b>, {overlap}<br>"
            f"said: {escape(case.words) or '(nothing)'}<br>"
            f"truth: {escape(case.truth_words)}</li>"
        )
    return (
        f'<section class="pair"><h3>{escape(item.title)}</h3><div class="ground">'
        f'<div class="overlay">{image_html(item.image, item.title)}'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none">{"".join(overlay)}</svg></div>'
        f'<ul>{"".join(rows)}</ul></div><p class="note">Dashed: the annotation. Solid: the '
        "model's box for that region name (CAREF). The words are what it says of the region.</p>"
        "</section>"
    )
