"""EKAID's relation graphs (Hu et al., 2023): question-conditioned attention along three relations.

Legend: B graphs  N nodes  D width  H heads  d = D / H

For one relation and one direction, with normalised linear layers Q and K:

    s_i      = linear_2D->D [x_i; q]
    score_ij = <Q s_i, K s_j> of each head / sqrt(d) + b_ij
    n_i      = linear_HD->D [sum_j softmax_j(score_ij) s_j, of each head]     no value projection

`ChainedRelations` is the released program as it runs: the relations act one after another on the
same nodes, and each adds only twice its backward message. `ParallelRelations` is what its lines
describe: each relation starts from the same nodes, adds s_i and both directions, and the three
results are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from lapse.config.vqa import EkaidPublishedConfig
from lapse.models.layers.ekaid_labels import NUM_GEOMETRY, NUM_SEMANTIC, NUM_SPATIAL
from lapse.models.layers.transformer import split_heads

NO_EDGE = -9e15
FORWARD, BACKWARD = "forwards", "backwards"
PARALLEL_WEIGHTS = (0.333, 0.333, 0.334)
SMALLEST = 1e-6


@dataclass(frozen=True, slots=True)
class Relations:
    """What the relations of B graphs read.

    Attributes:
        question: [B, D].
        semantic, spatial: labels [B, N, N], 0 for no edge.
        geometry: [B, N, N, 64].
    """

    question: Tensor
    semantic: Tensor
    spatial: Tensor
    geometry: Tensor


def normed_linear(width: int, out: int) -> nn.Linear:
    """W = g V / |V| over the whole matrix (Salimans and Kingma, 2016)."""
    layer = nn.Linear(width, out)
    weight_norm(layer, dim=-1)  # one norm for all elements
    return layer


class LabelBias(nn.Module):
    """One learned number per label, for all heads; no edge is (almost) never attended to.

    Weights: zero.
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.zeros(num_labels))

    def forward(self, labels: Tensor) -> Tensor:
        """[B, N, N] -> [B, 1, N, N]; a row without edges attends to all nodes evenly."""
        bias = self.values[labels].masked_fill(labels == 0, NO_EDGE)
        return bias[:, None]


class GeometryBias(nn.Module):
    """log max(ReLU(linear geometry), 1e-6), one number per head."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.linear = normed_linear(NUM_GEOMETRY, heads)

    def forward(self, geometry: Tensor) -> Tensor:
        """[B, N, N, 64] -> [B, H, N, N]."""
        weights = F.relu(self.linear(geometry)).clamp(min=SMALLEST)
        return weights.log().permute(0, 3, 1, 2)


class NeighbourAttention(nn.Module):
    """The message n_i of one direction: the nodes themselves, weighted by each head."""

    def __init__(self, config: EkaidPublishedConfig) -> None:
        super().__init__()
        width, self.heads = config.width, config.heads
        self.query, self.key = normed_linear(width, width), normed_linear(width, width)
        self.out = nn.Linear(self.heads * width, width)

    def forward(self, nodes: Tensor, bias: Tensor) -> Tensor:
        """[B, N, D] and [B, 1 or H, N, N] -> [B, N, D]."""
        query = split_heads(self.query(nodes), self.heads)
        key = split_heads(self.key(nodes), self.heads)
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5 + bias
        heard = scores.softmax(-1) @ nodes[:, None]  # [B, H, N, D]
        message: Tensor = self.out(heard.transpose(1, 2).flatten(2))
        return message


class Relation(nn.Module):
    """One relation: s, and the messages of its directions."""

    def __init__(self, config: EkaidPublishedConfig, directions: tuple[str, ...]) -> None:
        super().__init__()
        self.state = normed_linear(2 * config.width, config.width)
        self.directions = nn.ModuleDict({name: NeighbourAttention(config) for name in directions})
        self.dropout = nn.Dropout(config.graph_dropout)

    def states(self, nodes: Tensor, question: Tensor) -> Tensor:
        """s: [B, N, D]."""
        questions = question[:, None].expand(-1, nodes.shape[1], -1)
        states: Tensor = self.state(self.dropout(torch.cat([nodes, questions], dim=-1)))
        return states

    def messages(self, states: Tensor, bias: Tensor) -> list[Tensor]:
        """The message of each direction; backwards, the bias of (j, i) counts for (i, j)."""
        biases = {FORWARD: bias, BACKWARD: bias.transpose(-1, -2)}
        return [
            cast("Tensor", attention(states, biases[name]))
            for name, attention in self.directions.items()
        ]

    def add(self, nodes: Tensor, update: Tensor) -> Tensor:
        """x + ReLU(dropout(update))."""
        return nodes + F.relu(self.dropout(update))


class _ThreeRelations(nn.Module):
    directions: tuple[str, ...]

    def __init__(self, config: EkaidPublishedConfig) -> None:
        super().__init__()
        self.semantic, self.spatial, self.implicit = (
            Relation(config, self.directions) for _ in range(3)
        )
        self.semantic_bias, self.spatial_bias = LabelBias(NUM_SEMANTIC), LabelBias(NUM_SPATIAL)
        self.geometry_bias = GeometryBias(config.heads)

    def _steps(self, relations: Relations) -> list[tuple[Relation, Tensor]]:
        """The three relations in their order, each with its bias."""
        return [
            (self.semantic, self.semantic_bias(relations.semantic)),
            (self.spatial, self.spatial_bias(relations.spatial)),
            (self.implicit, self.geometry_bias(relations.geometry)),
        ]


class ChainedRelations(_ThreeRelations):
    """The program as it runs: semantic, spatial, implicit in a chain, backward messages only."""

    directions = (BACKWARD,)

    def forward(self, nodes: Tensor, relations: Relations) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        for relation, bias in self._steps(relations):
            (message,) = relation.messages(relation.states(nodes, relations.question), bias)
            nodes = relation.add(nodes, 2 * message)
        return nodes


class ParallelRelations(_ThreeRelations):
    """The program as it is described: three results from the same nodes, averaged."""

    directions = (FORWARD, BACKWARD)

    def forward(self, nodes: Tensor, relations: Relations) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        results = []
        for relation, bias in self._steps(relations):
            states = relation.states(nodes, relations.question)
            forwards, backwards = relation.messages(states, bias)
            results.append(relation.add(nodes, states + forwards + backwards))
        weighted = zip(PARALLEL_WEIGHTS, results, strict=True)
        return torch.stack([weight * result for weight, result in weighted]).sum(0)


GRAPHS: dict[Literal["as_run", "as_described"], type[ChainedRelations | ParallelRelations]] = {
    "as_run": ChainedRelations,
    "as_described": ParallelRelations,
}
