"""Gold annotations of simulated images in the layout of Chest ImaGenome 1.0.0.

    gold_bbox_coordinate_annotations_1000images.csv    one row per image and region, 26 regions
    gold_object_attribute_with_coordinates.txt         tab-separated; one row per sentence, region
                                                       and attribute

The boxes are those of the scene graph with a deviation of a few percent of their size, like the
boxes of a second annotator. Sentences are those of the scene graph. Image ids end in `.dcm`;
regions outside the image have no row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lapse.core.annotation_names import GOLD_REGIONS
from lapse.core.seeding import derive_uniform
from lapse.phantom.dataset.scene_graph import Corners, letterbox_corners

BOXES = "gold_bbox_coordinate_annotations_1000images.csv"
PHRASES = "gold_object_attribute_with_coordinates.txt"
JITTER = 0.03  # largest deviation of an edge, as a fraction of the side
BOX_COLUMNS = (
    "image_id", "x1", "y1", "x2", "y2", "width", "height", "bbox_name", "annot_id", "original_x1",
    "original_x2", "original_y1", "original_y2", "original_width", "original_height", "annotator",
    "coord224", "coord_original",
)  # fmt: skip
PHRASE_COLUMNS = (
    "patient_id", "study_id", "image_id", "row_id", "sentence", "bbox", "relation", "label_name",
    "context", "categoryID", "coord224", "coord_original",
)  # fmt: skip
Graph = Mapping[str, Any]
Row = tuple[str | int, ...]


def gold_rows(graph: Graph, height: int, width: int) -> tuple[list[Row], list[Row]]:
    """The rows of both tables for an image of `height` x `width` pixels with this scene graph."""
    boxes = _second_annotation(graph, height, width)
    phrases = _phrase_rows(graph, boxes, height, width)
    return list(_box_rows(graph, boxes, height, width)), list(phrases)


def _second_annotation(graph: Graph, height: int, width: int) -> dict[str, Corners]:
    """Region -> corners in pixels of the image, with the deviation of a second annotator."""
    image = str(graph["image_id"])
    objects = {item["bbox_name"]: item for item in graph["objects"]}
    return {
        name: _jittered(objects[name], (image, name), (width, height))
        for name in GOLD_REGIONS
        if name in objects
    }


def _jittered(item: Mapping[str, Any], key: tuple[str, str], size: tuple[int, int]) -> Corners:
    edges: dict[str, int] = {}
    for axis, limit in zip("xy", size, strict=True):
        low, high = item[f"original_{axis}1"], item[f"original_{axis}2"]
        for end, value in (("1", low), ("2", high)):
            fraction = JITTER * (2 * derive_uniform("phantom/gold", *key, axis, end) - 1)
            edges[axis + end] = min(limit, max(0, round(value + fraction * (high - low))))
        if edges[f"{axis}1"] >= edges[f"{axis}2"]:  # a box of one or two pixels
            edges[f"{axis}1"], edges[f"{axis}2"] = low, high
    return edges["x1"], edges["y1"], edges["x2"], edges["y2"]


def _box_rows(graph: Graph, boxes: Mapping[str, Corners], height: int, width: int) -> Iterator[Row]:
    image = graph["image_id"]
    for name, corners in boxes.items():
        small = letterbox_corners(corners, height, width)
        x1, y1, x2, y2 = corners
        ids = (name, f"{image}_{name}")
        original = (x1, x2, y1, y2, x2 - x1, y2 - y1)
        sides = (small[2] - small[0], small[3] - small[1])
        yield (f"{image}.dcm", *small, *sides, *ids, *original, "second", *_printed(small, corners))


def _phrase_rows(
    graph: Graph, boxes: Mapping[str, Corners], height: int, width: int
) -> Iterator[Row]:
    ids = (graph["patient_id"], graph["study_id"], f"{graph['image_id']}.dcm")
    for item in graph["attributes"]:
        region = item["bbox_name"]
        if region not in boxes:
            continue
        frames = _printed(letterbox_corners(boxes[region], height, width), boxes[region])
        for number, text, strings in zip(
            item["phrase_IDs"], item["phrases"], item["attributes"], strict=True
        ):
            for string in strings:
                category, context, label = string.split("|")
                yield (*ids, number, text, region, 1, label, context, category, *frames)


def _printed(small: Corners, corners: Corners) -> tuple[str, str]:
    """The boxes of both frames as the release prints them."""
    return str(list(small)), str(list(corners))
