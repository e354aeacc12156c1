"""The boxes and lists of one scene graph. Only the first defect of a box is reported."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from lapse.core.annotation_names import FURTHER_REGIONS, REGIONS
from lapse.data.datasets.scene_graph import PARALLEL, PHRASES, Corners, Frame, original_corners

ALL_REGIONS = frozenset((*REGIONS, *FURTHER_REGIONS))
_CORNER_KEYS = [f"{frame}{key}" for frame in ("", "original_") for key in ("x1", "y1", "x2", "y2")]


def box_defect(item: Mapping[str, Any], size: tuple[int, int] | None) -> str | None:
    """The code of the defect of one box of a scene graph, None if it has none.

    Args:
        item: an entry of `objects`, with both frames in pixels.
        size: height and width of its image in pixels; None if unknown, then only numbers, signs
            and area are checked.
    """
    if not all(_is_number(item.get(key)) for key in _CORNER_KEYS):
        return "box-not-number"
    corners = original_corners(item)
    if corners is None:
        return "box-not-number"
    code = corners_defect(corners, size)
    if code is None and size is not None and not Frame(*size).agrees(item, corners):
        return "box-frames"
    return code


def corners_defect(corners: Corners, size: tuple[int, int] | None) -> str | None:
    """The code of the defect of corners in pixels of an image of this size, None if none.

    >>> corners_defect((2.0, 3.0, 9.0, 8.0), (8, 9)), corners_defect((2.0, 3.0, 9.5, 8.0), (8, 9))
    (None, 'box-outside')
    """
    x1, y1, x2, y2 = corners
    if min(corners) < 0:
        return "box-negative"
    if size is not None and (max(x1, x2) > size[1] or max(y1, y2) > size[0]):
        return "box-outside"
    return "box-no-area" if x1 >= x2 or y1 >= y2 else None


def graph_defects(graph: Any, size: tuple[int, int] | None) -> Iterator[tuple[str, str]]:
    """(code, region) of every defect inside one scene graph; region "" for the graph itself.

    Args:
        graph: the content of the JSON file.
        size: height and width of the image in pixels, None if unknown.
    """
    if not _has_lists(graph):
        yield "graph-shape", ""
        return
    seen: set[str] = set()
    for item in graph["objects"]:
        name = str(item.get("bbox_name", ""))
        if name not in ALL_REGIONS:
            yield "unknown-region", name
        elif name in seen:
            yield "duplicate-region", name
        seen.add(name)
        code = box_defect(item, size)
        if code is not None:
            yield code, name
    if ALL_REGIONS - seen:
        yield "regions-incomplete", ""
    for item in graph["attributes"]:
        lists = [item[key] for key in (PHRASES, *PARALLEL) if key in item]
        lengths = {len(value) if isinstance(value, list) else -1 for value in lists}
        if len(lengths) > 1 or -1 in lengths:
            yield "parallel-lists", str(item.get("bbox_name", ""))


def is_described(graph: Any) -> bool:
    """Whether a scene graph has a box with corners and a region with phrases."""
    if not _has_lists(graph):
        return False
    has_box = any(original_corners(item) is not None for item in graph["objects"])
    return has_box and any(item.get(PHRASES) for item in graph["attributes"])


def _is_number(value: object) -> bool:
    """Whether a JSON value is a finite number; JSON integers can exceed every float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max  # false for NaN


def _has_lists(graph: Any) -> bool:
    if not isinstance(graph, dict):
        return False
    return all(
        isinstance(graph.get(key), list) and all(isinstance(item, dict) for item in graph[key])
        for key in ("objects", "attributes")
    )
