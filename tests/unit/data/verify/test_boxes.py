"""2,000 of 2,000 bad boxes are detected, 0 of 2,000 good boxes are flagged."""

import math

import pytest

from lapse.core.annotation_names import FURTHER_REGIONS, REGIONS
from lapse.core.seeding import derive_index, derive_uniform
from lapse.data.datasets.scene_graph import Frame
from lapse.data.verify.boxes import PARALLEL, box_defect, graph_defects

NUM = 2_000
SIDE = 224


def image_size(number):
    """Portrait, landscape and square images of 64 to 4,000 pixels."""
    height = 64 + derive_index(3_937, "height", number)
    width = 64 + derive_index(3_937, "width", number)
    return (height, height) if number % 5 == 0 else (height, width)


def good_box(number, size):
    """Integer pixels inside the image, up to its edges, and the corresponding letterbox."""
    height, width = size
    x1, y1 = derive_index(width, "x", number), derive_index(height, "y", number)
    x2 = x1 + 1 + derive_index(width - x1, "right", number)
    y2 = y1 + 1 + derive_index(height - y1, "below", number)
    corners = (x1, y1, x2, y2)
    ratio = SIDE / max(size)
    pads = ((SIDE - int(width * ratio)) // 2, (SIDE - int(height * ratio)) // 2)
    small = [round(value * ratio) + pads[position % 2] for position, value in enumerate(corners)]
    names = ("x1", "y1", "x2", "y2")
    box = dict(zip(names, small, strict=True))
    return box | {f"original_{name}": v for name, v in zip(names, corners, strict=True)}


def bad_box(number, size):
    """A good box with one defect, and its code."""
    height, width = size
    box = good_box(number, size)
    axis = "xy"[derive_index(2, "axis", number)]
    length = width if axis == "x" else height
    what = ("negative", "outside", "no-area", "not-number", "frames")[number % 5]
    if what == "negative":
        box[f"original_{axis}1"] = -1 - derive_index(50, "by", number)
    elif what == "outside":
        box[f"original_{axis}2"] = length + 1 + derive_index(50, "by", number)
    elif what == "no-area":
        less = derive_index(2, "swapped", number)
        box[f"original_{axis}2"] = max(0, box[f"original_{axis}1"] - less)
    elif what == "not-number":
        key = f"{('', 'original_')[derive_index(2, 'frame', number)]}{axis}2"
        values = (None, "7", True, math.nan, math.inf, [3], 10**400)
        box[key] = values[derive_index(len(values), "value", number)]
    else:  # the letterbox is off by more than both roundings and one pixel of the original
        least = 2 + Frame(height, width).scale
        shift = least * (1.1 + 20 * derive_uniform("shift", number))
        box[f"{axis}1"] += shift
        box[f"{axis}2"] += shift
    return box, f"box-{what}"


def test_bad_boxes_are_detected_and_good_boxes_are_not():
    detected = flagged = 0
    for number in range(NUM):
        size = image_size(number)
        flagged += box_defect(good_box(number, size), size) is not None
        box, code = bad_box(number, size)
        detected += box_defect(box, size) == code
    print(f"bad boxes {detected}/{NUM} found, good boxes {flagged}/{NUM} flagged")
    assert (detected, flagged) == (NUM, 0)


def test_without_the_size_only_numbers_signs_and_area_are_checked():
    size = (100, 80)
    judged = {
        bad_box(number, size)[1]: box_defect(bad_box(number, size)[0], None) for number in range(5)
    }
    assert judged == {
        "box-negative": "box-negative",
        "box-outside": None,
        "box-no-area": "box-no-area",
        "box-not-number": "box-not-number",
        "box-frames": None,
    }


def whole_graph():
    size = (100, 80)
    names = (*REGIONS, *FURTHER_REGIONS)
    objects = [good_box(number, size) | {"bbox_name": name} for number, name in enumerate(names)]
    described = {"bbox_name": "svc", "svc": True, **{key: [[], []] for key in PARALLEL}}
    return {"objects": objects, "attributes": [described]}, size


def test_a_complete_graph_has_no_defect():
    graph, size = whole_graph()
    assert list(graph_defects(graph, size)) == []


@pytest.mark.parametrize("graph", [None, [], 3, {}, {"objects": [], "attributes": {}}])
def test_a_graph_without_lists(graph):
    assert list(graph_defects(graph, (10, 10))) == [("graph-shape", "")]


def test_an_item_that_is_not_an_object():
    graph, size = whole_graph()
    graph["objects"].append("right lung")
    assert list(graph_defects(graph, size)) == [("graph-shape", "")]


@pytest.mark.parametrize("key", PARALLEL)
@pytest.mark.parametrize("value", [[[]], "two words", None])
def test_parallel_lists_of_another_length(key, value):
    graph, size = whole_graph()
    graph["attributes"][0][key] = value
    assert list(graph_defects(graph, size)) == [("parallel-lists", "svc")]


def test_repeated_unknown_and_absent_regions():
    graph, size = whole_graph()
    graph["objects"][1]["bbox_name"] = "right lung"
    graph["objects"][2]["bbox_name"] = "lingula"
    assert list(graph_defects(graph, size)) == [
        ("duplicate-region", "right lung"),
        ("unknown-region", "lingula"),
        ("regions-incomplete", ""),
    ]
