"""The boxes of own films: `boxes.csv`, or `boxes.json` in the format of COCO.

boxes.csv     image, region, phrase (optional), x_min, y_min, x_max, y_max: corners in pixels
boxes.json    images: id, file_name, width, height; categories: id, name; annotations: image_id,
              category_id, bbox [x, y, width, height] in pixels, attributes.phrase (optional)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from lapse.data.datasets.plain_cells import Cells, raise_error, read_cells, readable

REQUIRED = ("image", "region", "x_min", "y_min", "x_max", "y_max")
CORNERS = REQUIRED[2:]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BoxRow:
    """One box: the corners x_min, y_min, x_max, y_max, origin at the top left.

    Attributes:
        size: (height, width) of the image on which it was drawn, None if the file has none.
        unit: "pixel", or "fraction" of width and height.
    """

    cells: Cells
    image: str
    region: str
    phrase: str
    corners: tuple[float, float, float, float]
    size: tuple[int, int] | None = None
    unit: str = "pixel"


def read_boxes(
    path: Path, *, unit: str = "pixel", on_error: Callable[[ValueError], None] = raise_error
) -> list[BoxRow]:
    """The boxes of a table or of a COCO file.

    Args:
        path: `boxes.csv` or `boxes.json`.
        unit: of the corners in `boxes.csv`, "pixel" or "fraction"; COCO has pixels.
        on_error: called with the error of a box, which is then left out.

    Raises:
        ValueError: a column or a key is missing, or a value cannot be read.
    """
    if path.suffix.lower() == ".json":
        annotations, images, names = _coco(path)
        read = partial(_coco_box, table=path.name, images=images, names=names)
        return list(readable(enumerate(annotations, start=1), read, on_error))
    _, rows = read_cells(path, REQUIRED, ("phrase",))
    return list(readable(rows, partial(_box, size=None, unit=unit), on_error))


def image_cell(cells: Cells) -> str:
    """The path of an image below the folder of images.

    Raises:
        ValueError: it is empty or outside the folder.
    """
    text = cells["image"]
    if not text:
        raise cells.error("image", "is empty: write the path below the folder of images")
    path = PurePosixPath(text)
    if "\\" in text:
        raise cells.error("image", "has '\\': write '/' between folders")
    if path.is_absolute() or ".." in path.parts:
        raise cells.error("image", "is outside the folder of images: write the path below it")
    return path.as_posix()


def _box(cells: Cells, size: tuple[int, int] | None, unit: str = "pixel") -> BoxRow:
    region = cells["region"]
    if not region:
        raise cells.error("region", "is empty: name the region or the finding, such as 'carina'")
    if set(region) & set("/#"):
        raise cells.error("region", "has '/' or '#': write the name without them")
    x_min, y_min, x_max, y_max = (_number(cells, column) for column in CORNERS)
    largest = max(x_min, y_min, x_max, y_max)
    if unit == "pixel" and largest <= 1:
        raise cells.error(
            "x_max",
            "is a fraction: write the corners in pixels of the image, or 'box_unit': 'fraction' in "
            "dataset.json",
        )
    if unit == "fraction" and largest > 1:
        raise cells.error("x_max", "is not a fraction: dataset.json says 'box_unit': 'fraction'")
    for low, high, column in ((x_min, x_max, "x_max"), (y_min, y_max, "y_max")):
        if high <= low:
            raise cells.error(
                column,
                f"is not above {low:g}: write the corners x_min, y_min, x_max, y_max "
                "(not width and height)",
            )
    corners = (x_min, y_min, x_max, y_max)
    return BoxRow(cells, image_cell(cells), region, cells["phrase"], corners, size, unit)


def _number(cells: Cells, column: str) -> float:
    try:
        value = float(cells[column])
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise cells.error(column, "is not a pixel coordinate: write a number from 0 on")
    return value


def _coco(path: Path) -> tuple[list[Json], dict[object, Json], dict[object, Json]]:
    """The annotations, and the images and categories by their ids."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not valid JSON ({error}): export it again") from error
    images, names = (_by_id(path, content, key) for key in ("images", "categories"))
    return _items(path, content, "annotations"), images, names


def _coco_box(
    numbered: tuple[int, Json],
    *,
    table: str,
    images: dict[object, Json],
    names: dict[object, Json],
) -> BoxRow:
    number, item = numbered
    cells = Cells(table, number, {}, "annotation")
    image, name = images.get(item.get("image_id")), names.get(item.get("category_id"))
    for key, entry in (("image_id", image), ("category_id", name)):
        if entry is None:
            raise ValueError(
                f"{cells.name}: {key} {item.get(key)!r} is not listed: add it to 'images' or "
                "'categories'"
            )
    assert image is not None and name is not None
    box = item.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise ValueError(
            f"{cells.name}: bbox {box!r} is not a list of four numbers: write x, y, width and "
            "height in pixels"
        )
    x, y, width, height = box
    attributes = item.get("attributes")
    phrase = attributes.get("phrase", "") if isinstance(attributes, dict) else ""
    corners = zip(CORNERS, (x, y, x + width, y + height), strict=True)
    texts = {
        "image": str(image.get("file_name", "")),
        "region": str(name.get("name", "")),
        "phrase": str(phrase),
        **{column: f"{value:g}" for column, value in corners},
    }
    return _box(replace(cells, texts=texts), _size(image))


def _size(image: Json) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _items(path: Path, content: Any, key: str) -> list[Json]:
    items = content.get(key) if isinstance(content, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError(f"{path.name} has no list {key!r} of objects: export it as COCO")
    return items


def _by_id(path: Path, content: Any, key: str) -> dict[object, Json]:
    items = _items(path, content, key)
    by_id = {item.get("id"): item for item in items if isinstance(item.get("id"), int | str)}
    if len(by_id) != len(items):
        raise ValueError(f"{path.name}: an id in {key!r} is missing or occurs twice: export again")
    return by_id
