"""Acc@0.5: the share of boxes whose overlap with the annotation is at least one half (4.2).

Boxes are read from text. A malformed or missing box is a miss, never dropped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from lapse.text import find_box
from lapse.types import Prediction, Score

THRESHOLD = 0.5
Bins = tuple[int, int, int, int]


class BoxAccuracy:
    """(predictions) -> Acc@0.5, mean IoU, malformed rate, and Acc@0.5 of each region."""

    names = ("Acc@0.5", "mean IoU", "malformed rate")

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, Score]:
        """Score the last box of each prediction against the last box of its first reference.

        The scores of single regions carry no per-sample values: those of Acc@0.5 hold them.

        Raises:
            ValueError: no prediction, or a reference without a box.
        """
        if not predictions:
            raise ValueError("box accuracy needs at least one prediction, got none")
        overlaps, malformed = [], []
        regions: dict[str, list[float]] = defaultdict(list)
        for item in predictions:
            true = find_box(item.references[0])
            if true is None:
                raise ValueError(f"reference of {item.id} holds no box: {item.references[0]!r}")
            said = find_box(item.prediction)
            malformed.append(float(said is None))
            overlaps.append(0.0 if said is None else iou(said, true))
            regions[region_of(item)].append(float(overlaps[-1] >= THRESHOLD))
        hits = [float(value >= THRESHOLD) for value in overlaps]
        details = {
            "n": str(len(predictions)),
            "malformed": f"{sum(malformed):.0f}",
            "aggregate": "mean",
        }
        found = {
            name: Score(name, sum(values) / len(values), per_sample=tuple(values), details=details)
            for name, values in zip(self.names, (hits, overlaps, malformed), strict=True)
        }
        for region, values in sorted(regions.items()):
            name = f"Acc@0.5 {region}"
            mean = sum(values) / len(values)
            found[name] = Score(name, mean, details={"n": str(len(values))})
        return found


def region_of(item: Prediction) -> str:
    """The region that a prediction is about: the third part of its id, else of its prompt.

    "caref/<image>/carina" and the prompt "caref: carina:" both are about the carina.
    """
    parts = item.id.split("/")
    return parts[2] if len(parts) > 2 else item.prompt.removeprefix("caref:").strip(" :")


def iou(one: Bins, two: Bins) -> float:
    """Intersection over union of two boxes of bins, in [0, 1]."""
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(one) + _area(two) - shared)


def _area(box: Bins) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
