"""Acc@0.5: boxes from text, malformed ones are misses."""

import pytest

from lapse.core.types import Prediction
from lapse.metrics.box_accuracy import BoxAccuracy, iou, region_of

REFERENCE = " There is no edema. [0, 0, 10, 10]"


def caref(index: int, text: str, region: str = "carina") -> Prediction:
    return Prediction(f"caref/img{index}/{region}", "caref", text, (REFERENCE,))


def test_hits_misses_and_malformed():
    scores = BoxAccuracy()(
        [
            caref(0, "No edema. [0, 0, 10, 10]"),
            caref(1, "No edema. [0, 0, 10, 5]"),
            caref(2, "No edema. [0, 0, 10, 4]", "spine"),
            caref(3, "No edema. [0, 0, 10", "spine"),
            caref(4, "[9, 9, 3, 3]", "spine"),
        ]
    )
    assert scores["Acc@0.5"].value == pytest.approx(2 / 5)
    assert scores["malformed rate"].value == pytest.approx(2 / 5)
    assert scores["mean IoU"].value == pytest.approx((1 + 0.5 + 0.4) / 5)
    assert scores["Acc@0.5 carina"].value == 1.0
    assert scores["Acc@0.5 spine"].value == 0.0
    assert scores["Acc@0.5"].per_sample == (1.0, 1.0, 0.0, 0.0, 0.0)
    assert scores["Acc@0.5"].details["malformed"] == "2"
    assert scores["Acc@0.5 spine"].details["n"] == "3"
    assert scores["Acc@0.5 spine"].per_sample == ()


def test_iou_of_half_of_touching_and_of_equal_boxes():
    assert iou((0, 0, 10, 10), (0, 0, 10, 5)) == 0.5
    assert iou((0, 0, 10, 10), (10, 0, 20, 10)) == 0.0
    assert iou((3, 4, 7, 9), (3, 4, 7, 9)) == 1.0


def test_the_region_comes_from_the_id_else_from_the_prompt():
    assert region_of(caref(0, "", "right hilar structures")) == "right hilar structures"
    other = Prediction("17", "caref", "", (REFERENCE,), prompt="caref: carina:")
    assert region_of(other) == "carina"


def test_iou_of_bins_by_counting_cells():
    first, second = (2, 1, 9, 8), (5, 3, 12, 6)

    def cells(box):
        return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}

    assert iou(first, second) == pytest.approx(
        len(cells(first) & cells(second)) / len(cells(first) | cells(second))
    )


def test_a_reference_without_a_box_is_an_error():
    with pytest.raises(ValueError, match="holds no box"):
        BoxAccuracy()([Prediction("x", "caref", "[1, 2, 3, 4]", ("No edema.",))])
    with pytest.raises(ValueError, match="at least one"):
        BoxAccuracy()([])


def test_aref_takes_the_best_region_that_shares_the_phrase():
    rows = [
        Prediction(f"aref/img/{name}/0", "aref", "[0, 0, 10, 10]", (box,), "p", "aref: Clear.")
        for name, box in (("left lung", "[0, 0, 10, 10]"), ("right lung", "[20, 0, 30, 10]"))
    ]
    other = Prediction("aref/b/carina/0", "aref", "[0, 0, 9, 9]", ("[50, 50, 60, 60]",), "q", "x")
    scores = BoxAccuracy()([*rows, other])
    assert scores["Acc@0.5"].value == pytest.approx(1 / 3)
    assert scores["Acc@0.5, best region of the phrase"].value == pytest.approx(2 / 3)
