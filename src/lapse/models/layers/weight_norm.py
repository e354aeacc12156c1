"""Linear layers with normalised weights (Salimans and Kingma, 2016)."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import weight_norm


def normed_linear(width: int, out: int) -> nn.Linear:
    """W = g V / |V| over the whole matrix, as relation-aware graph attention uses it."""
    layer = nn.Linear(width, out)
    weight_norm(layer, dim=-1)  # one norm for all elements
    return layer
