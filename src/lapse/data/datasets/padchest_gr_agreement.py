"""The agreement of the two readers of PadChest-GR, who both boxed the abnormal sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lapse.core.types import Box
from lapse.data.datasets.padchest_gr import GroundedStudy, valid_box


def reader_agreement(studies: Sequence[GroundedStudy]) -> str:
    """How far `boxes` and `extra_boxes` agree, in words; "" if no sentence has both.

    The mean intersection over union of the two areas that the boxes of a sentence cover, and the
    fraction of sentences with at least .5.
    """
    values = []
    for study in studies:
        for sentence in study.sentences:
            first = [box for box in map(valid_box, sentence.boxes) if box]
            second = [box for box in map(valid_box, sentence.extra_boxes) if box]
            if first and second:
                values.append(area_iou(first, second))
    if not values:
        return ""
    half = sum(value >= 0.5 for value in values) / len(values)
    return (
        f"two readers boxed {len(values)} sentences: mean IoU {np.mean(values):.2f}, "
        f"{half:.0%} at .5 or more"
    )


def area_iou(first: Sequence[Box], second: Sequence[Box]) -> float:
    """Intersection over union of the areas that two sets of boxes cover, exact.

    >>> area_iou([Box(0, 0, 0.5, 1)], [Box(0, 0, 0.25, 1), Box(0.25, 0, 0.5, 1)])
    1.0
    """
    boxes = [*first, *second]
    x = np.unique([edge for box in boxes for edge in (box.x_min, box.x_max)])
    y = np.unique([edge for box in boxes for edge in (box.y_min, box.y_max)])
    is_covered = np.zeros((2, len(y) - 1, len(x) - 1), bool)  # the cells between all edges
    for cells, group in zip(is_covered, (first, second), strict=True):
        for box in group:
            rows = (box.y_min <= y[:-1]) & (y[1:] <= box.y_max)
            cells |= np.outer(rows, (box.x_min <= x[:-1]) & (x[1:] <= box.x_max))
    areas = np.outer(np.diff(y), np.diff(x))
    return float(areas[is_covered.all(axis=0)].sum() / areas[is_covered.any(axis=0)].sum())
