"""Relations between anatomical regions: positions, anatomy, and attention along them.

Legend: B graphs  R regions (nodes)  D width  H heads  L labels of a relation

    spatial   from the boxes: one of eleven labels for each ordered pair (Yao et al., 2018;
              Li et al., 2019, relation-aware graph attention)
    semantic  from anatomy: part of, has part, mirrored on the other side (deviations.md, 82)
    implicit  every pair, weighted by a learned function of their relative geometry

Label 0 means no edge. Every node attends to itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.models.layers.transformer import join_heads, split_heads

INSIDE, COVERS, OVERLAPS, FIRST_DIRECTION = 1, 2, 3, 4
NUM_SPATIAL = FIRST_DIRECTION + 8
SELF = 1  # semantic labels
PART, HAS_PART, MIRROR = 2, 3, 4
NUM_SEMANTIC = 5
MUCH_OVERLAP = 0.5  # intersection over union
NEAR = 0.5  # distance of the centres, as a fraction of the image's diagonal
CONTAINERS = ("right lung", "left lung", "mediastinum")
OPPOSITE = {"right": "left", "left": "right"}
# Regions of the mediastinum whose names do not contain the word.
MEDIASTINAL = (
    *("trachea", "aortic arch", "upper mediastinum", "svc", "cardiac silhouette"),
    *("cavoatrial junction", "right atrium", "carina"),
)


def spatial_labels(boxes: Tensor) -> Tensor:
    """Boxes [B, R, 4] -> [B, R, R] int64: the relation of the column's region to the row's.

    1 the row is inside the column, 2 it covers it, 3 they overlap by half, 4 to 11 the column is
    near in one of eight directions (counter-clockwise, starting at "right of it"), else 0.
    """
    low, high = boxes[..., :2], boxes[..., 2:]
    low_row, low_column = low[:, :, None], low[:, None, :]
    high_row, high_column = high[:, :, None], high[:, None, :]
    is_inside = ((low_row >= low_column) & (high_row <= high_column)).all(-1)
    shared = torch.minimum(high_row, high_column) - torch.maximum(low_row, low_column)
    shared = shared.clamp(min=0).prod(-1)
    area = (high - low).prod(-1)
    union = area[:, :, None] + area[:, None, :] - shared
    centre = (low + high) / 2
    offset = centre[:, None, :] - centre[:, :, None]  # [B, R, R, 2], from row to column
    angle = torch.atan2(-offset[..., 1], offset[..., 0])  # y grows downwards
    direction = ((angle + math.pi / 8) // (math.pi / 4)).long() % 8
    is_near = offset.norm(dim=-1) <= NEAR * math.sqrt(2)
    labels = torch.where(is_near, FIRST_DIRECTION + direction, 0)
    labels = torch.where(shared / union >= MUCH_OVERLAP, OVERLAPS, labels)
    labels = torch.where(is_inside.transpose(1, 2), COVERS, labels)
    labels = torch.where(is_inside, INSIDE, labels)
    diagonal = torch.arange(boxes.shape[1], device=boxes.device)
    labels[:, diagonal, diagonal] = OVERLAPS
    return labels


def semantic_labels(names: Sequence[str]) -> Tensor:
    """Names of regions -> [R, R] int64: itself, part of, has part, mirrored; 0 for none."""
    return torch.tensor([[_semantic_label(row, column) for column in names] for row in names])


def _semantic_label(row: str, column: str) -> int:
    if row == column:
        return SELF
    if _container(row) == column:
        return PART
    if _container(column) == row:
        return HAS_PART
    if _mirrored(row) == column:
        return MIRROR
    return 0


def _container(name: str) -> str:
    """The structure that a region is a part of, "" for none."""
    if name in CONTAINERS:
        return ""
    if name in MEDIASTINAL:
        return "mediastinum"
    laterality = name.split()[0]
    is_lung = laterality in OPPOSITE and "clavicle" not in name
    return f"{laterality} lung" if is_lung else ""


def _mirrored(name: str) -> str:
    """The same region on the opposite side, "" for none."""
    laterality, _, region = name.partition(" ")
    return f"{OPPOSITE[laterality]} {region}" if laterality in OPPOSITE else ""


def relative_geometry(boxes: Tensor) -> Tensor:
    """[B, R, 4] -> [B, R, R, 4]: log distance in box sizes, log ratio of the sizes."""
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3)
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    offset = (centre[:, None, :] - centre[:, :, None]).abs() / size[:, :, None]
    ratio = size[:, None, :] / size[:, :, None]
    return torch.cat([offset.clamp(min=1e-3), ratio], dim=-1).log()


class RelationAttention(nn.Module):
    """Attention of each region to its neighbours in one relation (Li et al., 2019).

    Each label has a bias for the attention scores and a vector that is added to the values.

    Weights: PyTorch's linear default; label biases zero.

    Args:
        width: D.
        heads: H.
        num_labels: L.
    """

    def __init__(self, width: int, heads: int, num_labels: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.label_scores = nn.Parameter(torch.zeros(num_labels, heads))
        self.label_values = nn.Parameter(torch.zeros(num_labels, width))

    def forward(self, nodes: Tensor, labels: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attend along the edges.

        Args:
            nodes: [B, R, D].
            labels: [B, R, R], 0 where there is no edge.
            bias: [B, R, R, H], added to the scores; None for none.

        Returns:
            [B, R, D]
        """
        query = split_heads(self.query(nodes), self.heads)
        key = split_heads(self.key(nodes), self.heads)
        value = split_heads(self.value(nodes), self.heads)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])  # [B, H, R, R]
        scores = scores + self.label_scores[labels].permute(0, 3, 1, 2)
        if bias is not None:
            scores = scores + bias.permute(0, 3, 1, 2)
        scores = scores.masked_fill((labels == 0)[:, None], torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1)
        attended = join_heads(weights @ value)
        # Each label's vector counts by the sum of the attention weights with this label.
        is_label = F.one_hot(labels, len(self.label_values)).to(weights.dtype)  # [B, R, R, L]
        label_weights = torch.einsum("bhrs,brsl->bhrl", weights, is_label)
        label_values = self.label_values.view(-1, self.heads, attended.shape[-1] // self.heads)
        attended = attended + join_heads(
            torch.einsum("bhrl,lhd->bhrd", label_weights, label_values)
        )
        return F.relu(self.out(attended))


class GeometryBias(nn.Module):
    """Log of a learned positive weight of each pair from its relative geometry.

    Weights: PyTorch's linear default.
    """

    def __init__(self, heads: int, hidden: int = 64) -> None:
        super().__init__()
        self.up = nn.Linear(4, hidden)
        self.down = nn.Linear(hidden, heads)

    def forward(self, boxes: Tensor) -> Tensor:
        """[B, R, 4] -> [B, R, R, H]."""
        weights = F.softplus(self.down(F.relu(self.up(relative_geometry(boxes)))))
        return weights.clamp(min=1e-6).log()
