"""EKAID's pooling: gates and one weight per node make one vector of each image.

Legend: B pairs  N nodes  D width

For image I in (1: main, 2: reference), d = x_2 - x_1, and shared weights:

    z_I = dropout sigmoid(G1 d + G2 x_I) * dropout tanh(C1 d + C2 x_I)
    w_I = sigmoid(linear_128->1 ReLU(dropout linear_3D->128 [x_I; d; z_I]))     one number per node
    y_I = sum over nodes of w_I x_I                                             not normalised
    y_d = y_2 - y_1
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class PooledPair:
    """The three vectors of each pair.

    Attributes:
        vectors: [B, 3, D]: main ("before"), difference, reference ("after").
        weights: [B, 2, N], of the nodes of the main and of the reference image.
    """

    vectors: Tensor
    weights: Tensor


class GatedPooling(nn.Module):
    """Pools the graphs of two images.

    Weights: PyTorch's linear default.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.gate_difference, self.gate_image = nn.Linear(width, width), nn.Linear(width, width)
        self.content_difference, self.content_image = (
            nn.Linear(width, width),
            nn.Linear(width, width),
        )
        self.hidden = nn.Linear(3 * width, hidden)
        self.weight = nn.Linear(hidden, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, main: Tensor, reference: Tensor) -> PooledPair:
        """Two graphs [B, N, D] -> their vectors."""
        difference = reference - main
        gate, content = self.gate_difference(difference), self.content_difference(difference)
        weights = torch.stack(
            [self._weights(x, difference, gate, content) for x in (main, reference)], dim=1
        )
        before, after = (
            torch.einsum("bn,bnd->bd", weights[:, index], x)
            for index, x in enumerate((main, reference))
        )
        return PooledPair(torch.stack([before, after - before, after], dim=1), weights)

    def _weights(self, x: Tensor, difference: Tensor, gate: Tensor, content: Tensor) -> Tensor:
        gates = self.dropout(torch.sigmoid(gate + self.gate_image(x)))
        mixed = gates * self.dropout(torch.tanh(content + self.content_image(x)))
        hidden = self.dropout(self.hidden(torch.cat([x, difference, mixed], dim=-1)))
        weights: Tensor = torch.sigmoid(self.weight(F.relu(hidden))).squeeze(-1)
        return weights
