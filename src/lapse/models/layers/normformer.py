"""Transformer layers of OFA: NormFormer's further norms, a gain per head, and stochastic depth.

Legend: B rows  H heads  L queries  K keys  D width  d = D / H

    attention     LN(W_o [gain_h * softmax(q k / sqrt(2 d) + bias) v, of each head h])
    feed-forward  W_2 LN(gelu(W_1 x))
    residual      x + drop_path(dropout(layer(LN(x))))
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.models.layers.position_bias import SCALE
from lapse.models.layers.transformer import join_heads, split_heads

Pair = tuple[Tensor, Tensor]  # keys and values [B, H, K, d]


class BiasedAttention(nn.Module):
    """Attention with a bias on the scores, a gain per head, and a norm behind it.

    Weights: PyTorch's defaults; gains one.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.gain = nn.Parameter(torch.ones(heads))
        self.norm = nn.LayerNorm(width)

    def project(self, x: Tensor) -> Pair:
        """Keys and values of [B, K, D]."""
        return split_heads(self.key(x), self.heads), split_heads(self.value(x), self.heads)

    def forward(self, x: Tensor, pair: Pair, bias: Tensor) -> Tensor:
        """[B, L, D], keys and values, and a bias that broadcasts to [B, H, L, K] -> [B, L, D]."""
        query = split_heads(self.query(x), self.heads)
        key, value = pair
        scores = query @ key.transpose(-1, -2) / (SCALE * query.shape[-1]) ** 0.5 + bias
        heads = scores.softmax(-1) @ value * self.gain[:, None, None]
        out: Tensor = self.norm(self.out(join_heads(heads)))
        return out


class NormedFeedForward(nn.Module):
    """Two linear layers around GELU (exact form) and a norm."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        out: Tensor = self.down(self.norm(F.gelu(self.up(x))))
        return out


class Residual(nn.Module):
    """x + drop_path(dropout(update)): stochastic depth skips the update of complete rows.

    Args:
        dropout: probability of dropping a number.
        drop_path: probability of leaving out a row's update; kept updates are scaled up.
    """

    def __init__(self, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.dropout, self.rate = nn.Dropout(dropout), drop_path

    def forward(self, x: Tensor, update: Tensor) -> Tensor:
        """[B, L, D] -> [B, L, D]."""
        update = self.dropout(update)
        if self.training and self.rate:
            shape = (len(update), *[1] * (update.dim() - 1))
            kept = torch.rand(shape, device=update.device) >= self.rate
            update = update * kept / (1 - self.rate)
        return x + update
