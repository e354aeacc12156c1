"""Acc@0.5: boxes from text, malformed ones are misses."""

import pytest

from lapse.metrics.box_accuracy import BoxAccuracy, iou
from lapse.types import Prediction

TRUE = " There is no edema. [0, 0, 10, 10]"


def caref(index: int, said: str, region: str = "carina") -> Prediction:
    return Prediction(f"caref/img{index}/{region}", "caref", said, (TRUE,))


def test_hits_misses_and_malformed():
    found = BoxAccuracy()(
        [
            caref(0, "No edema. [0, 0, 10, 10]"),
            caref(1, "No edema. [0, 0, 10, 5]"),
            caref(2, "No edema. [0, 0, 10, 4]", "spine"),
            caref(3, "No edema. [0, 0, 10", "spine"),
            caref(4, "[9, 9, 3, 3]", "spine"),
        ]
    )
    assert found["Acc@0.5"].value == pytest.approx(2 / 5)
    assert found["malformed rate"].value == pytest.approx(2 / 5)
    assert found["mean IoU"].value == pytest.approx((1 + 0.5 + 0.4) / 5)
    assert found["Acc@0.5 carina"].value == 1.0
    assert found["Acc@0.5 spine"].value == 0.0


def test_iou_of_bins_by_counting_cells():
    one, two = (2, 1, 9, 8), (5, 3, 12, 6)

    def cells(box):
        return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}

    assert iou(one, two) == pytest.approx(
        len(cells(one) & cells(two)) / len(cells(one) | cells(two))
    )


def test_a_reference_without_a_box_is_an_error():
    with pytest.raises(ValueError, match="holds no box"):
        BoxAccuracy()([Prediction("x", "caref", "[1, 2, 3, 4]", ("No edema.",))])
