"""Elements that several HTML reports share: tables, embedded images, boxes drawn over them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lapse.core.types import Box

Pixels = NDArray[np.uint8]
MAX_SIZE = 448  # pixels, of an embedded JPEG image
LETTER_WIDTH, LETTER_HEIGHT = 2.45, 4.0  # of labels, in percent of the image
LINE_WIDTH = 0.01  # of an outline, as a fraction of the image


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of formatted cells; rows whose first cell is in `marked` are set in bold."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    marked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """A box drawn over an image.

    `dashes`: lengths of line and gap, "" for a solid line. `label`: text in its upper left corner,
    with its left end and base line in percent of the image.
    """

    box: Box
    color: int
    dashes: str = ""
    label: str = ""
    label_x: float = 0.0
    label_y: float = 0.0


def outlines(boxes: Sequence[tuple[Box, int]], labels: Sequence[str] = ()) -> list[Outline]:
    """Boxes with their color numbers as outlines.

    Of boxes that coincide, each later one is dashed with wider gaps, so that all stay visible; the
    label of the first names them. A label that would cover an earlier one is moved down.

    Args:
        boxes: the boxes, and the number of the color of each.
        labels: one per box, or () for none.
    """
    drawn: list[Outline] = []
    for index, (box, color) in enumerate(boxes):
        num_below = sum(_coincide(box, other) for other, _ in boxes[:index])
        dashes = f"8 {8 * num_below}" if num_below else ""
        label = labels[index] if labels and not num_below else ""
        x = max(0.0, min(100 * box.x_min + 1, 99 - LETTER_WIDTH * len(label)))
        y = 100 * box.y_min + LETTER_HEIGHT
        while label and any(_covers(item, x, y, label) for item in drawn):
            y += LETTER_HEIGHT
        drawn.append(Outline(box, color, dashes, label, x, y))
    return drawn


def _covers(item: Outline, x: float, y: float, label: str) -> bool:
    """Whether the label of an outline covers a label at this place."""
    ends = item.label_x + LETTER_WIDTH * len(item.label), x + LETTER_WIDTH * len(label)
    is_beside = ends[0] < x or ends[1] < item.label_x
    return bool(item.label) and not is_beside and abs(item.label_y - y) < LETTER_HEIGHT


def _coincide(first: Box, second: Box) -> bool:
    """Whether no edge is further from its counterpart than the width of a line."""
    edges = zip(astuple(first), astuple(second), strict=True)
    return all(abs(a - b) < LINE_WIDTH for a, b in edges)


def png_uri(pixels: Pixels) -> str:
    """Gray pixels [S, S] as a PNG data URI: lossless, for pages with few images."""
    return _data_uri(Image.fromarray(pixels), "PNG", optimize=True)


def jpeg_uri(pixels: Pixels) -> str:
    """Gray pixels [S, S] as a JPEG data URI of at most MAX_SIZE pixels, for many images."""
    image = Image.fromarray(np.asarray(pixels))
    image.thumbnail((MAX_SIZE, MAX_SIZE))  # never enlarges
    return _data_uri(image, "JPEG", quality=85)


def _data_uri(image: Image.Image, name: str, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format=name, **options)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{name.lower()};base64,{text}"
