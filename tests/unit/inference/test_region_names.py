"""Boxes have the names of the anatomical regions that they overlap."""

from lapse.core.annotation_names import REGIONS
from lapse.core.types import Box
from lapse.inference.region_names import TYPICAL, name_boxes


def test_every_region_of_chest_imagenome_has_a_typical_box_on_its_side():
    assert TYPICAL.keys() == set(REGIONS)
    for name, box in TYPICAL.items():
        middle = (box.x_min + box.x_max) / 2
        if name.startswith("right "):  # of the patient, at the left of the film
            assert middle < 0.5
        if name.startswith("left "):
            assert middle > 0.5
    assert name_boxes(TYPICAL, {}) == {name: name for name in TYPICAL}


def test_boxes_of_the_model_follow_a_film_that_is_not_centred():
    moved = {
        name: Box(b.x_min / 2, b.y_min / 2, b.x_max / 2, b.y_max / 2) for name, b in TYPICAL.items()
    }
    names = name_boxes(moved, moved)
    assert sum(names[name] == name for name in moved) > sum(
        name_boxes(moved, {})[name] == name for name in moved
    )


def test_one_wrong_box_of_the_model_does_not_name_a_finding():
    lung = Box(0.53, 0.09, 0.95, 0.90)
    regions = {**TYPICAL, "upper mediastinum": lung, "left lung": Box(0.5, 0.1, 0.9, 0.95)}
    assert name_boxes({"pneumothorax": lung}, regions) == {"pneumothorax": "left lung"}


def test_a_box_that_overlaps_nothing_has_no_name():
    assert name_boxes({"edema": Box(0.0, 0.0, 0.05, 0.05)}, {}) == {}
