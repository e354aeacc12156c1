"""Positions as biases of attention scores, as in OFA (Wang et al., 2022), PLURAL's base.

Legend: B rows  H heads  L tokens  D width  d = D / H

Positions are not added to the tokens. The scores of every layer get two terms:

    absolute   (W_q P_i) . (W_k P_j) / sqrt(2 d)     P: normalised embeddings of the positions;
                                                     computed once for all layers
    relative   one learned number per distance, head and layer, zero at the start, between tokens
               of one segment only: the text, or one image
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lapse.models.layers.transformer import split_heads

SCALE = 2  # scores and absolute biases are divided by sqrt(SCALE * d)


class AbsoluteBias(nn.Module):
    """The absolute bias from the embeddings of two sequences of positions.

    Weights: PyTorch's linear default.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """[B, L, D] and [B, K, D] -> [B, H, L, K]."""
        query = split_heads(self.query(queries), self.heads)
        key = split_heads(self.key(keys), self.heads)
        bias: Tensor = query @ key.transpose(-1, -2) / (SCALE * query.shape[-1]) ** 0.5
        return bias


class RelativeBias(nn.Module):
    """One number per distance and head.

    Weights: zero.

    Args:
        heads: H.
    """

    def __init__(self, num_distances: int, heads: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(num_distances, heads))

    def forward(self, distances: Tensor) -> Tensor:
        """Numbers of distances [B, L, L] -> [B, H, L, L]."""
        return self.table[distances].permute(0, 3, 1, 2)


def text_distances(length: int, largest: int, device: torch.device) -> Tensor:
    """The number of every distance within a text: [1, L, L] in 0 .. 2 * largest.

    Larger distances count as the largest.
    """
    index = torch.arange(length, device=device)
    return (index[None, :] - index[:, None]).clamp(-largest, largest)[None] + largest


def image_distances(places: Tensor, side: int) -> Tensor:
    """The number of every distance within an image.

    Args:
        places: [B, K] int64, row * side + column of each token.
        side: of the table of positions; distances are up to side - 1 along each axis.

    Returns:
        [B, K, K] in 0 .. (2 side - 1) ** 2 - 1.
    """
    rows, columns = places // side, places % side
    down = rows[:, None, :] - rows[:, :, None] + side - 1
    right = columns[:, None, :] - columns[:, :, None] + side - 1
    return down * (2 * side - 1) + right
