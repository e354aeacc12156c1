"""Features of named anatomical regions, read from the token grid of an image.

Legend: U images  N visual tokens  D width  R regions

    boxes of an image --RoIAlign on the grid--> [U, R, D], and which regions have a box [U, R]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lapse.core.types import Box
from lapse.data.loading.batch import Batch
from lapse.models.layers.roi_align import roi_align

BINS, SAMPLES = 2, 2  # along each axis; the bins of a region are averaged
FULL_IMAGE = Box(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Regions:
    """The regions of each image.

    Attributes:
        boxes: [U, R, 4] as fractions: x_min, y_min, x_max, y_max; the full image where a region
            has no box.
        is_present: [U, R] bool.
    """

    boxes: Tensor
    is_present: Tensor


def regions_of(batch: Batch, names: Sequence[str]) -> Regions:
    """The regions of each distinct image of a batch, in the order of `names`.

    In an image without any box (its scene graph is missing), every region is the full image, so
    that the model can answer; the tasks exclude such pairs from training.

    Raises:
        ValueError: a sample carries no boxes.
    """
    images: list[Mapping[str, Box]] = [{} for _ in range(len(batch.images))]
    for sample, indices in zip(batch.samples, batch.image_index.tolist(), strict=True):
        if not sample.boxes:
            raise ValueError(
                f"sample {sample.id} carries no boxes of the anatomy: this system needs the task "
                "diff_vqa_boxes or diff_vqa_reports; it cannot answer two image files alone"
            )
        for image, boxes in zip(indices, sample.boxes, strict=True):
            images[image] = dict(boxes)
    corners, present = [], []
    for named in images:
        boxes_of_image = [named.get(name) for name in names]
        has_none = not any(boxes_of_image)
        present.append([has_none or box is not None for box in boxes_of_image])
        used = [box or FULL_IMAGE for box in boxes_of_image]
        corners.append([[box.x_min, box.y_min, box.x_max, box.y_max] for box in used])
    device = batch.images.device
    return Regions(torch.tensor(corners, device=device), torch.tensor(present, device=device))


def region_features(tokens: Tensor, regions: Regions) -> Tensor:
    """Mean feature inside each box: tokens [U, N, D] -> [U, R, D]; zero where there is no box."""
    num_images, num_regions = regions.is_present.shape
    image_of = torch.arange(num_images, device=tokens.device).repeat_interleave(num_regions)
    boxes = regions.boxes.view(-1, 4)
    bins = roi_align(tokens, boxes, image_of, bins=BINS, samples=SAMPLES)
    return bins.mean(1).view(num_images, num_regions, -1) * regions.is_present[..., None]
