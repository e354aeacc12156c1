"""Acc@0.5: the fraction of boxes that overlap the annotation by at least one half (section 4.2).

Boxes are read from text. A malformed or missing box is a miss, never dropped. An AREF phrase may
apply to several regions of its image ("There is no pleural effusion."), so a second score takes
the best of all regions that share the phrase.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from lapse.core.tokenizer import find_box
from lapse.core.types import Prediction, Score
from lapse.metrics.statistics import (
    FRACTION,
    check_single_reference,
    error_rate,
    fraction_score,
    macro_score,
    mean_score,
)

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
        """Score the last box of each prediction against the last box of its reference.

        The scores of single regions have no per-sample values: those of Acc@0.5 hold them.

        Raises:
            ValueError: no prediction, one with several references, or a reference without a box.
        """
        if not predictions:
            raise ValueError("box accuracy needs at least one prediction, got none")
        check_single_reference(predictions, "box accuracy")
        boxes = [find_box(item.prediction) for item in predictions]
        references = list(map(_reference_box, predictions))
        overlaps = [
            0.0 if box is None else iou(box, reference)
            for box, reference in zip(boxes, references, strict=True)
        ]
        details = {"malformed": str(boxes.count(None)), "threshold": str(THRESHOLD)}
        scores = _accuracy(overlaps, "", details)
        if all(item.task == "aref" for item in predictions):
            best = _best_of_phrase(predictions, boxes, references)
            helped = sum(high > overlap for high, overlap in zip(best, overlaps, strict=True))
            phrase_details = {**details, "helped by another region": str(helped)}
            scores |= _accuracy(best, ", best region of the phrase", phrase_details)
        is_malformed = (box is None for box in boxes)
        scores["malformed rate"] = error_rate("malformed rate", is_malformed, details)
        return scores | _per_region(predictions, overlaps)


def _accuracy(
    overlaps: Sequence[float], suffix: str, details: Mapping[str, str]
) -> dict[str, Score]:
    hits = [float(value >= THRESHOLD) for value in overlaps]
    scores = [
        mean_score(f"Acc@0.5{suffix}", hits, details, value_range=FRACTION),
        mean_score(f"mean IoU{suffix}", overlaps, details, value_range=FRACTION),
    ]
    return {score.name: score for score in scores}


def _per_region(predictions: Sequence[Prediction], overlaps: Sequence[float]) -> dict[str, Score]:
    """Acc@0.5 averaged over regions, then Acc@0.5 and mean IoU of each region."""
    values = np.asarray(overlaps)
    hits = (values >= THRESHOLD).astype(np.float64)
    regions = np.array([region_of(item) for item in predictions], dtype=object)
    names = sorted(set(regions))
    masks = [(regions == name).astype(np.float64) for name in names]
    rows = np.stack([part for mask in masks for part in (hits * mask, mask)], axis=1)
    macro = "Acc@0.5, mean of regions"
    groups = [[index] for index in range(len(names))]
    scores = {macro: macro_score(macro, rows, groups, {"regions": str(len(names))})}
    for region, mask in zip(names, masks, strict=True):
        details = {"of": region, "kind": "region"}
        for name, column in ((f"Acc@0.5 {region}", hits), (f"mean IoU {region}", values)):
            scores[name] = fraction_score(name, column * mask, mask, details)
    return scores


def _best_of_phrase(
    predictions: Sequence[Prediction], boxes: Sequence[Bins | None], references: Sequence[Bins]
) -> list[float]:
    by_phrase: dict[tuple[str, str], list[Bins]] = defaultdict(list)
    keys = [(_image_of(item), item.prompt) for item in predictions]
    for key, reference in zip(keys, references, strict=True):
        by_phrase[key].append(reference)
    return [
        0.0 if box is None else max(iou(box, reference) for reference in by_phrase[key])
        for key, box in zip(keys, boxes, strict=True)
    ]


def _reference_box(item: Prediction) -> Bins:
    box = find_box(item.references[0])
    if box is None:
        raise ValueError(f"reference of {item.id} holds no box: {item.references[0]!r}")
    return box


def _image_of(item: Prediction) -> str:
    """The image of "aref/<image>/carina/0"; the id itself where it has another form."""
    parts = item.id.split("/")
    return parts[1] if len(parts) > 2 else item.id


def region_of(item: Prediction) -> str:
    """The region that a prediction is about: the third part of its id, else of its prompt.

    "caref/<image>/carina" and the prompt "caref: carina:" both are about the carina.
    """
    parts = item.id.split("/")
    return parts[2] if len(parts) > 2 else item.prompt.removeprefix("caref:").strip(" :")


def iou(first: Bins, second: Bins) -> float:
    """Intersection over union of two boxes of bins, in [0, 1]."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height / (sum(areas) - width * height)
