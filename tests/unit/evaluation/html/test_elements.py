"""Embedded images and outlines."""

import numpy as np

from lapse.core.types import Box
from lapse.evaluation.html.elements import MAX_SIZE, jpeg_uri, outlines


def test_images_are_only_made_smaller():
    small, large = (jpeg_uri(np.zeros((size, size), np.uint8)) for size in (8, 2 * MAX_SIZE))
    assert len(small) < len(large) < 20_000


def test_boxes_that_coincide_have_different_dashes():
    box, near, far = Box(0.1, 0.2, 0.5, 0.6), Box(0.105, 0.2, 0.5, 0.6), Box(0.3, 0.2, 0.5, 0.6)
    drawn = outlines([(box, 0), (far, 1), (near, 2), (box, 3)])
    assert {item.color: item.dashes for item in drawn} == {0: "", 1: "", 2: "8 8", 3: "8 16"}
