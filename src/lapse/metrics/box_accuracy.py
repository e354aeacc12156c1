"""Acc@0.5: the share of boxes whose overlap with the annotation is at least one half (4.2).

Boxes are read from text. A malformed or missing box is a miss, never dropped. An AREF phrase may
belong to several regions of its image ("There is no pleural effusion."): beside the score with
its own box stands the one with the best of all regions that share the phrase.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from lapse.core.tokenizer import find_box
from lapse.core.types import Prediction, Score
from lapse.metrics.statistics import macro_score, mean_score, share_score

THRESHOLD = 0.5
Bins = tuple[int, int, int, int]


class BoxAccuracy:
    """(predictions) -> Acc@0.5, mean IoU, malformed rate; the first two of each region."""

    names = (
        "Acc@0.5",
        "mean IoU",
        "Acc@0.5, mean of regions",
        "Acc@0.5, best region of the phrase",
        "mean IoU, best region of the phrase",
        "malformed rate",
    )

    def __call__(self, predictions: Sequence[Prediction]) -> dict[str, Score]:
        """Score the last box of each prediction against the last box of its first reference.

        The scores of single regions carry no per-sample values: those of Acc@0.5 hold them.

        Raises:
            ValueError: no prediction, or a reference without a box.
        """
        if not predictions:
            raise ValueError("box accuracy needs at least one prediction, got none")
        said = [find_box(item.prediction) for item in predictions]
        true = [_true_box(item) for item in predictions]
        overlaps = [
            0.0 if one is None else iou(one, two) for one, two in zip(said, true, strict=True)
        ]
        malformed = [float(one is None) for one in said]
        details = {"malformed": f"{sum(malformed):.0f}", "threshold": str(THRESHOLD)}
        found = _accuracy(overlaps, "", details)
        if all(item.task == "aref" for item in predictions):
            best = _best_of_phrase(predictions, said, true)
            shared = sum(one > two for one, two in zip(best, overlaps, strict=True))
            label = {**details, "helped by another region": str(shared)}
            found |= _accuracy(best, ", best region of the phrase", label)
        found["malformed rate"] = mean_score("malformed rate", malformed, details)
        return found | _per_region(predictions, overlaps)


def _accuracy(overlaps: Sequence[float], suffix: str, details: dict[str, str]) -> dict[str, Score]:
    hits = [float(value >= THRESHOLD) for value in overlaps]
    scores = [
        mean_score(f"Acc@0.5{suffix}", hits, details),
        mean_score(f"mean IoU{suffix}", overlaps, details),
    ]
    return {score.name: score for score in scores}


def _per_region(predictions: Sequence[Prediction], overlaps: Sequence[float]) -> dict[str, Score]:
    """Acc@0.5 averaged over regions, then Acc@0.5 and mean IoU of each region."""
    values = np.asarray(overlaps)
    hits = (values >= THRESHOLD).astype(np.float64)
    own = np.array([region_of(item) for item in predictions], dtype=object)
    names = sorted(set(own))
    masks = [(own == name).astype(np.float64) for name in names]
    rows = np.stack([part for mask in masks for part in (hits * mask, mask)], axis=1)
    macro = "Acc@0.5, mean of regions"
    groups = [[place] for place in range(len(names))]
    found = {macro: macro_score(macro, rows, groups, {"regions": str(len(names))})}
    for region, mask in zip(names, masks, strict=True):
        details = {"of": region, "kind": "region"}
        for name, each in ((f"Acc@0.5 {region}", hits), (f"mean IoU {region}", values)):
            found[name] = share_score(name, each * mask, mask, details)
    return found


def _best_of_phrase(
    predictions: Sequence[Prediction], said: Sequence[Bins | None], true: Sequence[Bins]
) -> list[float]:
    """The best overlap with any region of the same image that has the same phrase."""
    boxes: dict[tuple[str, str], list[Bins]] = defaultdict(list)
    keys = [(_image_of(item), item.prompt) for item in predictions]
    for key, box in zip(keys, true, strict=True):
        boxes[key].append(box)
    return [
        0.0 if box is None else max(iou(box, other) for other in boxes[key])
        for key, box in zip(keys, said, strict=True)
    ]


def _true_box(item: Prediction) -> Bins:
    box = find_box(item.references[0])
    if box is None:
        raise ValueError(f"reference of {item.id} holds no box: {item.references[0]!r}")
    return box


def _image_of(item: Prediction) -> str:
    """The image of "aref/<image>/carina/0"; an id of another form is an image of its own."""
    parts = item.id.split("/")
    return parts[1] if len(parts) > 2 else item.id


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
