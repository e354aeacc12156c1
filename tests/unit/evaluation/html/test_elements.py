"""Embedded images and outlines."""

import numpy as np

from lapse.core.types import Box
from lapse.evaluation.html.elements import LETTER_HEIGHT, LETTER_WIDTH, MAX_SIZE, jpeg_uri, outlines


def test_images_are_only_made_smaller():
    small, large = (jpeg_uri(np.zeros((size, size), np.uint8)) for size in (8, 2 * MAX_SIZE))
    assert len(small) < len(large) < 20_000


def test_boxes_that_coincide_have_different_dashes():
    box, near, far = Box(0.1, 0.2, 0.5, 0.6), Box(0.105, 0.2, 0.5, 0.6), Box(0.3, 0.2, 0.5, 0.6)
    drawn = outlines([(box, 0), (far, 1), (near, 2), (box, 3)])
    assert {item.color: item.dashes for item in drawn} == {0: "", 1: "", 2: "8 8", 3: "8 16"}


def test_labels_stay_inside_and_do_not_cover_each_other():
    box, other = Box(0.7, 0.1, 0.9, 0.5), Box(0.72, 0.11, 0.95, 0.6)
    first, second, same = outlines([(box, 0), (other, 1), (box, 2)], ["upper lung zone"] * 3)
    width = LETTER_WIDTH * len("upper lung zone")
    assert first.label_x + width <= 100 and second.label_x + width <= 100
    assert second.label_y - first.label_y >= LETTER_HEIGHT
    assert same.label == "" and same.dashes
