"""The relations between EKAID's nodes, from their boxes and from the findings in them.

Legend: B graphs  N nodes: R anatomical regions, then R findings at the same boxes  C classes

Numbers follow the published program. Label 0 means no edge.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lapse.models.layers.finding_classes import CHEXPERT, organ_group

COVERS, INSIDE, OVERLAPS, FIRST_SECTOR = 1, 2, 3, 4
NUM_SPATIAL = FIRST_SECTOR + 8
SAME_ORGAN, COOCCUR = 1, 2
NUM_SEMANTIC = 3
MUCH_OVERLAP = 0.5  # intersection over union
FAR = 2 / 3  # distance of the centres, as a fraction of the image's side
OFTEN = 0.18  # of the images with one finding, those that also have the other
PIXELS = 1024  # side of the images that the published boxes refer to
WAVES, WAVE_BASE, WAVE_SCALE = 8, 1000.0, 100.0
NUM_GEOMETRY = 4 * 2 * WAVES


def spatial_labels(boxes: Tensor) -> Tensor:
    """Boxes [B, N, 4] as fractions -> [B, N, N] int64: the relation of the row to the column.

    1 the row covers the column strictly, 2 it is inside it, 3 they overlap by half or are the same
    node, else 4 to 11 for the sector of 45 degrees that the column's centre is in, seen from the
    row's, or 0 if the centres are far apart. Sectors begin at 0 degrees ("right of it") and follow
    the downward y axis.
    """
    low, high = boxes[..., :2], boxes[..., 2:]
    low_row, low_column = low[:, :, None], low[:, None, :]
    high_row, high_column = high[:, :, None], high[:, None, :]
    covers = ((low_row < low_column) & (high_row > high_column)).all(-1)
    shared = torch.minimum(high_row, high_column) - torch.maximum(low_row, low_column)
    shared = shared.clamp(min=0).prod(-1)
    area = (high - low).prod(-1)
    union = area[:, :, None] + area[:, None, :] - shared
    centre = (low + high) / 2
    offset = centre[:, None, :] - centre[:, :, None]  # [B, N, N, 2], from row to column
    degrees = torch.atan2(offset[..., 1], offset[..., 0]).rad2deg() % 360
    sector = (degrees / 45).ceil().long().clamp(min=1)  # 1 to 8
    labels = torch.where(offset.norm(dim=-1) < FAR, FIRST_SECTOR - 1 + sector, 0)
    labels = torch.where(shared >= MUCH_OVERLAP * union, OVERLAPS, labels)
    labels = torch.where(covers.transpose(1, 2), INSIDE, labels)
    labels = torch.where(covers, COVERS, labels)
    nodes = torch.arange(boxes.shape[1], device=boxes.device)
    labels[:, nodes, nodes] = OVERLAPS
    return labels


def semantic_labels(
    regions: Sequence[str], classes: Sequence[str], finding: Tensor, counts: Tensor
) -> Tensor:
    """The semantic relation of every two nodes.

    1 between an anatomical region and a finding of one organ group; 2 between two findings that
    CheXpert names, if at least `OFTEN` of the training images with the row's finding also have
    the column's; 0 else.

    Args:
        regions: names of the R anatomical nodes.
        classes: names of the C classes of findings.
        finding: [B, R] int64, the class of each finding node; C where there is none.
        counts: [C, C], training images with both findings.

    Returns:
        [B, 2 R, 2 R] int64.
    """
    batch, num_regions = finding.shape
    device = finding.device
    groups = [organ_group(name) for name in classes]
    same = [[organ_group(region) == group for group in groups] + [False] for region in regions]
    is_same = torch.tensor(same, device=device)  # [R, C + 1]
    across = is_same[:, finding].permute(1, 0, 2)  # [B, R regions, R findings]
    is_chexpert = torch.tensor([name in CHEXPERT for name in classes], device=device)
    single = counts.diagonal()[:, None]
    often = (counts > OFTEN * single) & (single > 0) & is_chexpert & is_chexpert[:, None]
    padded = often.new_zeros(len(classes) + 1, len(classes) + 1)
    padded[:-1, :-1] = often
    together = padded[finding[:, :, None], finding[:, None, :]]  # [B, R, R]
    labels = torch.zeros(batch, 2 * num_regions, 2 * num_regions, dtype=torch.long, device=device)
    labels[:, :num_regions, num_regions:] = across * SAME_ORGAN
    labels[:, num_regions:, :num_regions] = across.transpose(1, 2) * SAME_ORGAN
    labels[:, num_regions:, num_regions:] = together * COOCCUR
    return labels


def geometry_embedding(boxes: Tensor) -> Tensor:
    """Relative geometry of every two boxes as sines and cosines.

    Args:
        boxes: [B, N, 4] as fractions.

    Returns:
        [B, N, N, 64]
    """
    pixels = boxes * PIXELS
    size = pixels[..., 2:] - pixels[..., :2] + 1
    centre = (pixels[..., :2] + pixels[..., 2:]) / 2
    distance = (centre[:, :, None] - centre[:, None, :]).abs() / size[:, :, None]
    ratio = size[:, :, None] / size[:, None, :]
    geometry = torch.cat([distance.clamp(min=1e-3), ratio], dim=-1).log()  # [B, N, N, 4]
    exponent = torch.arange(WAVES, device=boxes.device, dtype=boxes.dtype) / WAVES
    angles = WAVE_SCALE * geometry[..., None] / torch.pow(WAVE_BASE, exponent)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)
