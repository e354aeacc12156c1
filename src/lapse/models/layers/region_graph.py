"""How anatomical regions relate: where they lie, what they are to each other, and attention.

Legend: B graphs  R regions (nodes)  D width  H heads  L labels of a relation

    spatial   from the boxes: one of eleven labels for each ordered pair (Yao et al., 2018;
              Li et al., 2019, relation-aware graph attention)
    semantic  from anatomy: part of, has part, mirrored on the other side (deviations.md, 82)
    implicit  every pair, weighted by a learned function of their relative geometry

Label 0 means no edge. Every node sees itself.
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
PART, WHOLE, MIRROR = 2, 3, 4
NUM_SEMANTIC = 5
MUCH_OVERLAP = 0.5  # intersection over union
NEAR = 0.5  # distance of the middles, as a share of the image's diagonal
OWNERS = ("right lung", "left lung", "mediastinum")
# What belongs to the mediastinum although its name does not say so.
MEDIASTINAL = (
    *("trachea", "aortic arch", "upper mediastinum", "svc", "cardiac silhouette"),
    *("cavoatrial junction", "right atrium", "carina"),
)


def spatial_labels(boxes: Tensor) -> Tensor:
    """[B, R, 4] -> [B, R, R] int64: what the column's region is to the row's.

    1 the row lies inside the column, 2 it covers it, 3 they overlap by half, 4 to 11 the column
    lies in one of eight directions (from "right of it" counter-clockwise) and is near, else 0.
    """
    low, high = boxes[..., :2], boxes[..., 2:]
    one, two = boxes[:, :, None], boxes[:, None, :]
    is_inside = ((one[..., :2] >= two[..., :2]) & (one[..., 2:] <= two[..., 2:])).all(-1)
    shared = torch.minimum(one[..., 2:], two[..., 2:]) - torch.maximum(one[..., :2], two[..., :2])
    shared = shared.clamp(min=0).prod(-1)
    area = (high - low).prod(-1)
    union = area[:, :, None] + area[:, None, :] - shared
    middle = (low + high) / 2
    apart = middle[:, None, :] - middle[:, :, None]  # [B, R, R, 2], from row to column
    angle = torch.atan2(-apart[..., 1], apart[..., 0])  # y grows downwards
    direction = ((angle + math.pi / 8) // (math.pi / 4)).long() % 8
    is_near = apart.norm(dim=-1) <= NEAR * math.sqrt(2)
    labels = torch.where(is_near, FIRST_DIRECTION + direction, 0)
    labels = torch.where(shared / union >= MUCH_OVERLAP, OVERLAPS, labels)
    labels = torch.where(is_inside.transpose(1, 2), COVERS, labels)
    labels = torch.where(is_inside, INSIDE, labels)
    here = torch.arange(boxes.shape[1], device=boxes.device)
    labels[:, here, here] = OVERLAPS
    return labels


def semantic_labels(names: Sequence[str]) -> Tensor:
    """Names of regions -> [R, R] int64: itself, part of, has part, mirrored; 0 for none."""
    rows = [[_semantic(one, two) for two in names] for one in names]
    return torch.tensor(rows)


def _semantic(one: str, two: str) -> int:
    if one == two:
        return SELF
    if _owner(one) == two:
        return PART
    if _owner(two) == one:
        return WHOLE
    if _other_side(one) == two:
        return MIRROR
    return 0


def _owner(name: str) -> str:
    """The structure that a region is a part of, "" for none."""
    if name in OWNERS:
        return ""
    if name in MEDIASTINAL:
        return "mediastinum"
    side = name.split()[0]
    is_lung = side in {"right", "left"} and "clavicle" not in name
    return f"{side} lung" if is_lung else ""


def _other_side(name: str) -> str:
    if name.startswith("right "):
        return "left " + name.removeprefix("right ")
    if name.startswith("left "):
        return "right " + name.removeprefix("left ")
    return ""


def relative_geometry(boxes: Tensor) -> Tensor:
    """[B, R, 4] -> [B, R, R, 4]: log distance in box sizes, log ratio of the sizes."""
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3)
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    apart = (middle[:, None, :] - middle[:, :, None]).abs() / size[:, :, None]
    ratio = size[:, None, :] / size[:, :, None]
    return torch.cat([apart.clamp(min=1e-3), ratio], dim=-1).log()


class RelationAttention(nn.Module):
    """One round of attention along the edges of one relation (Li et al., 2019).

    Each label has its own bias on the attention and on what is sent along the edge.

    Weights: PyTorch's linear default; label biases zero.

    Args:
        width: D.
        heads: H.
        num_labels: L.
    """

    def __init__(self, width: int, heads: int, num_labels: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.score_of = nn.Parameter(torch.zeros(num_labels, heads))
        self.value_of = nn.Parameter(torch.zeros(num_labels, width))

    def forward(self, nodes: Tensor, labels: Tensor, bias: Tensor | None = None) -> Tensor:
        """What each node receives.

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
        scores = scores + self.score_of[labels].permute(0, 3, 1, 2)
        if bias is not None:
            scores = scores + bias.permute(0, 3, 1, 2)
        scores = scores.masked_fill((labels == 0)[:, None], torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1)
        sent = join_heads(weights @ value)
        # The label's own message: the share of attention that goes along each label.
        kinds = F.one_hot(labels, self.value_of.shape[0]).to(weights.dtype)  # [B, R, R, L]
        share = torch.einsum("bhrs,brsl->bhrl", weights, kinds)
        label_values = self.value_of.view(-1, self.heads, sent.shape[-1] // self.heads)
        sent = sent + join_heads(torch.einsum("bhrl,lhd->bhrd", share, label_values))
        return F.relu(self.out(sent))


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
        found = self.down(F.relu(self.up(relative_geometry(boxes))))
        return F.softplus(found).clamp(min=1e-6).log()
