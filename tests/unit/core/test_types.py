"""Values check themselves: what is impossible cannot be built."""

from datetime import datetime

import pytest

from lapse.core.types import Box, Pair, Prediction, Region, Sample, Study


def study(patient: str = "p1", split: str = "train") -> Study:
    return Study("d1", "s1", patient, "d1", "PA", split, datetime(2180, 5, 6), "Clear.", ())


def test_a_box_outside_the_image_is_refused():
    for values in ((-0.1, 0, 1, 1), (0, 0, 1.2, 1), (0, float("nan"), 1, 1)):
        with pytest.raises(ValueError, match="is outside the image"):
            Box(*values)


def test_a_box_without_area_is_refused():
    with pytest.raises(ValueError, match="no area"):
        Box(0.5, 0.1, 0.5, 0.2)


def test_iou_of_known_boxes():
    left, right = Box(0, 0, 0.5, 1), Box(0.25, 0, 0.75, 1)
    assert left.iou(right) == pytest.approx(1 / 3)
    assert left.iou(left) == 1.0
    assert left.iou(Box(0.6, 0, 1, 1)) == 0.0


def test_a_pair_is_of_one_patient():
    with pytest.raises(ValueError, match="p1 and p2"):
        Pair("1", study("p1"), study("p2"), "q", "a", "difference", "train")


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="'val'"):
        study(split="val")


def test_the_prompt_of_a_sample():
    sample = Sample("i", "caref", ("img",), "p", "caref:", "carina:", " Clear. [1, 2, 3, 4]")
    assert sample.prompt == "caref: carina:"
    with pytest.raises(ValueError, match="empty answer"):
        Sample("i", "cap", ("img",), "p", "cap:", "", "  ")
    with pytest.raises(ValueError, match="3 images"):
        Sample("i", "cap", ("a", "b", "c"), "p", "cap:", "", "x")


def test_prediction_needs_a_reference():
    with pytest.raises(ValueError, match="no reference"):
        Prediction("i", "cap", "text", ())


def test_region_by_name():
    carina = Region("carina", ("Clear.",), None)
    one = Study("d", "s", "p", "d", "PA", "test", datetime(2180, 1, 1), "", (carina,))
    assert one.region("carina") is carina
    assert one.region("spine") is None
