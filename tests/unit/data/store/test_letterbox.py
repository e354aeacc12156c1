"""Boxes in a letterboxed square: they match the pixels, are invertible, and keep their IoU."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lapse.core.types import Box
from lapse.data.store.letterbox import letterboxed, unletterboxed
from recipe import letterbox

LENGTHS = st.integers(3, 4000)
SIZES = st.sampled_from([32, 224, 448])


@st.composite
def boxes(draw):
    x = sorted(draw(st.lists(st.integers(0, 1000), min_size=2, max_size=2, unique=True)))
    y = sorted(draw(st.lists(st.integers(0, 1000), min_size=2, max_size=2, unique=True)))
    return Box(x[0] / 1000, y[0] / 1000, x[1] / 1000, y[1] / 1000)


def corners(box):
    return np.array([box.x_min, box.y_min, box.x_max, box.y_max])


@pytest.mark.parametrize(("height", "width"), [(120, 90), (2544, 3056), (3056, 2544), (500, 500)])
def test_the_box_follows_the_pixels(height, width):
    image = np.zeros((height, width), np.float32)
    box = Box(0.3, 0.2, 0.7, 0.6)
    image[round(0.2 * height) : round(0.6 * height), round(0.3 * width) : round(0.7 * width)] = 1
    bright = np.argwhere(letterbox(image, 448) > 127)
    seen = np.array([*bright.min(axis=0)[::-1], *(bright.max(axis=0)[::-1] + 1)]) / 448
    assert np.abs(corners(letterboxed(box, height, width, 448)) - seen).max() <= 1.5 / 448
    if height != width:  # the box of a squash would be elsewhere
        assert np.abs(corners(box) - seen).max() > 5 / 448


@given(boxes(), LENGTHS, LENGTHS, SIZES)
def test_unletterboxed_inverts_letterboxed(box, height, width, size):
    back = unletterboxed(letterboxed(box, height, width, size), height, width, size)
    assert back is not None and np.abs(corners(back) - corners(box)).max() < 1e-9 * max(
        height, width
    )


@given(boxes(), boxes(), LENGTHS, LENGTHS, SIZES)
def test_iou_is_preserved(first, second, height, width, size):
    moved = [letterboxed(box, height, width, size) for box in (first, second)]
    assert moved[0].iou(moved[1]) == pytest.approx(first.iou(second), abs=1e-6)


def test_boxes_on_the_border_are_cut_off():
    assert unletterboxed(Box(0.0, 0.2, 0.2, 0.4), 100, 50, 448) is None
    assert unletterboxed(Box(0.0, 0.25, 0.5, 0.5), 100, 50, 448) == Box(0.0, 0.25, 0.5, 0.5)
    assert unletterboxed(Box(0.25, 0.0, 0.5, 0.1), 50, 100, 448) is None


def test_it_is_the_convention_of_the_224_frame():
    from lapse.data.datasets.scene_graph import Frame

    frame = Frame(3056, 2544)
    box = letterboxed(Box(0.25, 0.25, 0.5, 0.75), 3056, 2544, 224)
    original = frame.to_original(tuple(corners(box) * 224))
    assert np.abs(np.array(original) - [636, 764, 1272, 2292]).max() <= 1 / frame.scale


def test_lengths_below_one_are_refused():
    for shape in ((0, 10, 10), (10, 0, 10), (10, 10, 0)):
        with pytest.raises(ValueError, match="at least 1 pixel"):
            letterboxed(Box(0, 0, 1, 1), *shape)
