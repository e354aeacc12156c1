"""A comparison as one picture: both films with regions, the changes, and the notices."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from lapse.core.types import Box
from lapse.evaluation.html.elements import Outline
from lapse.inference.comparison import Comparison
from lapse.inference.films import Film

FILM_HEIGHT, GAP, MARGIN = 760, 16, 20  # pixels
MIN_WIDTH = 1000  # pixels of the picture
FONT_SIZE, LABEL_SIZE, LINE = 18, 17, 26
PAGE, TEXT, QUIET, WARNING = "#14181c", "#e6e9ec", "#a7b1bb", "#ffb347"
# Okabe and Ito, as in the style sheet of the HTML reports
COLORS = (
    "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2", "#b3906e",
    "#8f7fff", "#9aa5b1",
)  # fmt: skip
REGIONS = "A box marks the region to which the model assigns a finding; it is not an outline."
TITLES = {"reference": "Reference (earlier)", "main": "Main (later)"}


def draw_comparison(comparison: Comparison) -> Image.Image:
    """The picture, in RGB.

    Raises:
        ValueError: the comparison has no films.
    """
    if not comparison.films:
        raise ValueError("the comparison holds no films: a picture needs both")
    outlined = comparison.outlines()
    panels = [
        _draw_panel(f"{TITLES.get(role, role)}, research use only", film, outlined[role])
        for role, film in comparison.films.items()
    ]
    inside = sum(panel.width for panel in panels) + GAP * (len(panels) - 1)
    width = max(MIN_WIDTH, inside + 2 * MARGIN)
    lines = _text_lines(comparison, characters=(width - 2 * MARGIN) * 2 // FONT_SIZE)
    top = max(panel.height for panel in panels) + MARGIN
    picture = Image.new("RGB", (width, top + LINE * len(lines) + 2 * MARGIN), PAGE)
    left = (width - inside) // 2
    for panel in panels:
        picture.paste(panel, (left, MARGIN))
        left += panel.width + GAP
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(FONT_SIZE)
    for row, (text, color) in enumerate(lines):
        draw.text((MARGIN, top + MARGIN + row * LINE), text, color, font)
    return picture


def _draw_panel(title: str, film: Film, outlined: Sequence[Outline]) -> Image.Image:
    height, width = film.pixels.shape
    size = (max(1, round(FILM_HEIGHT * width / height)), FILM_HEIGHT)
    picture = Image.fromarray(film.pixels).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(LABEL_SIZE)
    colored = [(item, COLORS[item.color % len(COLORS)]) for item in outlined]
    for item, color in colored:
        draw.rectangle(_corners(item.box, *size), outline=color, width=3)
    for item, color in colored:
        if item.label:
            place = item.label_x / 100 * size[0], item.label_y / 100 * size[1]
            draw.text(
                place, item.label, color, font, anchor="ls", stroke_width=2, stroke_fill="black"
            )
    panel = Image.new("RGB", (size[0], FILM_HEIGHT + LINE), PAGE)
    panel.paste(picture, (0, LINE))
    ImageDraw.Draw(panel).text((0, 0), title, TEXT, ImageFont.load_default(FONT_SIZE))
    return panel


def _corners(box: Box, width: int, height: int) -> tuple[float, float, float, float]:
    return (
        box.x_min * (width - 1),
        box.y_min * (height - 1),
        box.x_max * (width - 1),
        box.y_max * (height - 1),
    )


def _text_lines(comparison: Comparison, *, characters: int) -> list[tuple[str, str]]:
    """(text, color) of every line below the films; the notice is the first."""
    answer = comparison.answer
    lines = [(comparison.notice, WARNING)]
    lines += [
        (issue.line(), QUIET if issue.level == "note" else WARNING) for issue in answer.issues
    ]
    lines.append((f"Answer: {answer.text or '(empty)'}", TEXT))
    lines += [(f"  {answer.describe(change)}", TEXT) for change in answer.changes]
    lines += [(f"  unsure: {answer.describe(change)}", QUIET) for change in answer.unsure]
    lines += [(f"  not understood: {words!r}", WARNING) for words in answer.leftover]
    lines += [(f"  reason: {reason}", QUIET) for reason in answer.reasons]
    lines += [(note, QUIET) for note in (*answer.notes(), REGIONS)]
    lines.append((f"Model trained on: {answer.trained_on or 'unknown data'}.", QUIET))
    return [
        (part, color)
        for text, color in lines
        for part in textwrap.wrap(text, characters, subsequent_indent="    ") or [""]
    ]
