"""The agreement of the two readers of PadChest-GR, who both boxed the abnormal sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lapse.core.types import Box
from lapse.data.datasets.padchest_gr import GroundedStudy, valid_box


@dataclass(frozen=True, slots=True)
class ReaderAgreement:
    """How far the boxes of two readers agree, over the sentences that both have boxed.

    Attributes:
        mean_iou: mean intersection over union of the two areas that the boxes of a sentence cover.
        half: fraction of sentences with an intersection over union of at least .5.
    """

    sentences: int
    mean_iou: float
    half: float

    def __str__(self) -> str:
        return (
            f"two readers boxed {self.sentences} sentences: mean IoU {self.mean_iou:.2f}, "
            f"{self.half:.0%} at .5 or more"
        )


def reader_agreement(studies: Sequence[GroundedStudy]) -> ReaderAgreement | None:
    """The agreement of `boxes` and `extra_boxes`; None if no sentence has both."""
    values = []
    for study in studies:
        for sentence in study.sentences:
            first = [box for box in map(valid_box, sentence.boxes) if box]
            second = [box for box in map(valid_box, sentence.extra_boxes) if box]
            if first and second:
                values.append(area_iou(first, second))
    if not values:
        return None
    half = sum(value >= 0.5 for value in values) / len(values)
    return ReaderAgreement(len(values), sum(values) / len(values), half)


def area_iou(first: Sequence[Box], second: Sequence[Box]) -> float:
    """Intersection over union of the areas that two sets of boxes cover, exact.

    >>> area_iou([Box(0, 0, 0.5, 1)], [Box(0, 0, 0.25, 1), Box(0.25, 0, 0.5, 1)])
    1.0
    """
    boxes = [*first, *second]
    xs = sorted({edge for box in boxes for edge in (box.x_min, box.x_max)})
    ys = sorted({edge for box in boxes for edge in (box.y_min, box.y_max)})
    intersection = union = 0.0
    for left, right in pairwise(xs):
        for top, bottom in pairwise(ys):
            covered = [
                any(
                    box.x_min <= left
                    and right <= box.x_max
                    and box.y_min <= top
                    and bottom <= box.y_max
                    for box in group
                )
                for group in (first, second)
            ]
            area = (right - left) * (bottom - top)
            intersection += area * all(covered)
            union += area * any(covered)
    return intersection / union
