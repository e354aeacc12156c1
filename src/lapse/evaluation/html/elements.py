"""The pieces of a page: escaped text, tables, images inside the page, rectangles on them."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lapse.core.types import Box

Pixels = NDArray[np.uint8]
MAX_SIDE = 448  # pixels of an image inside a page
LINE = 0.01  # width of an outline, in sides of the image


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of already formatted cells; `marked` names the rows to be set in bold."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    marked: tuple[str, ...] = ()


def escape(text: str) -> str:
    """Text as HTML, quotes included."""
    return html.escape(text, quote=True)


def table_html(table: Table, kind: str = "scores") -> str:
    """A table that scrolls sideways where the screen is narrow."""
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = []
    for row in table.rows:
        style = ' class="marked"' if row and row[0] in table.marked else ""
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
        rows.append(f"<tr{style}>{cells}</tr>")
    title = f"<caption>{escape(table.title)}</caption>" if table.title else ""
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="scroll"><table class="{kind}">{title}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{note}"
    )


def image_html(pixels: Pixels, alt: str) -> str:
    """Grey pixels [S, S] as a PNG inside the page: exact, for few images."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'


def photo_html(pixels: Pixels, alt: str) -> str:
    """Grey pixels [S, S] as a JPEG inside the page, at most MAX_SIDE wide: for many images."""
    picture = Image.fromarray(np.asarray(pixels))
    if max(picture.size) > MAX_SIDE:
        picture.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=85)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{escape(alt)}" src="data:image/jpeg;base64,{data}">'


def rectangle(box: Box, colour: str, *, dashes: str = "") -> str:
    """The outline of a box in a drawing of 100 x 100; `dashes`: lengths of line and gap."""
    pattern = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<rect x="{100 * box.x_min:.2f}" y="{100 * box.y_min:.2f}" '
        f'width="{100 * (box.x_max - box.x_min):.2f}" '
        f'height="{100 * (box.y_max - box.y_min):.2f}" fill="none" stroke="{colour}" '
        f'stroke-width="2" vector-effect="non-scaling-stroke"{pattern}/>'
    )


def outlines(boxes: Sequence[tuple[Box, str]]) -> str:
    """Boxes in their colours. Of boxes that coincide, a later one leaves gaps for the earlier."""
    drawn = []
    for place, (box, colour) in enumerate(boxes):
        below = sum(_coincide(box, other) for other, _ in boxes[:place])
        drawn.append(rectangle(box, colour, dashes=f"8 {8 * below}" if below else ""))
    return "".join(drawn)


def _coincide(one: Box, two: Box) -> bool:
    """Whether no edge is further from its counterpart than a line is wide."""
    edges = zip(
        (one.x_min, one.y_min, one.x_max, one.y_max),
        (two.x_min, two.y_min, two.x_max, two.y_max),
        strict=True,
    )
    return all(abs(a - b) < LINE for a, b in edges)
