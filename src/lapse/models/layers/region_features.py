"""Features of named anatomical regions, read from the token grid of an image.

Legend: U images  N visual tokens  D width  R regions

    boxes of an image --RoIAlign on the grid--> [U, R, D], and which regions have a box [U, R]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lapse.core.types import Box, Sample
from lapse.models.layers.roi_align import roi_align

BINS, SAMPLES = 2, 2  # along each side; the bins of a region are averaged


@dataclass(frozen=True, slots=True)
class Regions:
    """The regions of each image.

    Attributes:
        boxes: [U, R, 4] as fractions: x_min, y_min, x_max, y_max; the whole image where none is.
        is_there: [U, R] bool.
    """

    boxes: Tensor
    is_there: Tensor


def named_boxes(samples: Sequence[Sample], image_index: Tensor) -> list[dict[str, Box]]:
    """The named boxes of each distinct image, from the samples that show it.

    Args:
        samples: B samples that carry boxes.
        image_index: [B, I], which image each of them shows.

    Raises:
        ValueError: a sample carries no boxes.
    """
    found: list[dict[str, Box]] = [{} for _ in range(int(image_index.max()) + 1)]
    for sample, images in zip(samples, image_index.tolist(), strict=True):
        if not sample.boxes:
            raise ValueError(
                f"sample {sample.id} carries no boxes of the anatomy: this system needs the task "
                "diff_vqa_boxes or diff_vqa_reports; two bare image files cannot be answered"
            )
        for image, boxes in zip(images, sample.boxes, strict=True):
            found[image] = dict(boxes)
    return found


def regions_of(
    boxes: Sequence[Mapping[str, Box]], names: Sequence[str], device: torch.device | str
) -> Regions:
    """Named boxes of each image as tensors, in the order of `names`.

    An image without a single box (its scene graph is missing) shows every region as the whole
    image, so that it can be answered; such pairs are not trained on (the tasks leave them out).
    """
    rows, there = [], []
    for found in boxes:
        places = [found.get(name) for name in names]
        is_bare = not any(places)
        there.append([is_bare or place is not None for place in places])
        rows.append(
            [
                [0.0, 0.0, 1.0, 1.0]
                if place is None
                else [place.x_min, place.y_min, place.x_max, place.y_max]
                for place in places
            ]
        )
    return Regions(torch.tensor(rows, device=device), torch.tensor(there, device=device))


def region_features(tokens: Tensor, regions: Regions) -> Tensor:
    """Mean feature inside each box: tokens [U, N, D] -> [U, R, D]; zero where no box is."""
    images, num_regions = regions.is_there.shape
    side = round(tokens.shape[1] ** 0.5)
    image_of = torch.arange(images, device=tokens.device).repeat_interleave(num_regions)
    found = roi_align(tokens, regions.boxes.view(-1, 4), image_of, side, bins=BINS, samples=SAMPLES)
    return found.mean(1).view(images, num_regions, -1) * regions.is_there[..., None]
