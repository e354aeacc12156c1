"""Many tokens -> one vector: SigLIP's attention pooling head (Zhai et al., 2023; Zhai 2022, 3).

Legend: B sets of tokens  N tokens  D width

    a learned probe attends to the tokens --> x --> x + mlp(norm(x))

Equal to `pooler_output` of transformers' `SiglipVisionModel` (tested).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.models.layers.transformer import (
    EPSILON,
    Mlp,
    attend,
    init_linear,
    join_heads,
    split_heads,
)


class AttentionPool(nn.Module):
    """Weights: linear layers and probe normal with deviation width ** -0.5, norm one and zero."""

    def __init__(self, width: int, heads: int, mlp_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.probe = nn.Parameter(torch.empty(1, 1, width))
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.mlp = Mlp(width, mlp_width)
        init_linear(self, width**-0.5)
        nn.init.normal_(self.probe, std=width**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, D] -> [B, D]."""
        width = tokens.shape[-1]
        weight, bias = self.query_key_value.weight, self.query_key_value.bias
        query = F.linear(self.probe.to(tokens.dtype), weight[:width], bias[:width])
        key, value = F.linear(tokens, weight[width:], bias[width:]).chunk(2, dim=-1)
        heads = [split_heads(part, self.heads) for part in (query, key, value)]
        attended = attend(heads[0].expand(len(tokens), -1, -1, -1), heads[1], heads[2])
        x = self.out(join_heads(attended))
        out: Tensor = x + self.mlp(self.norm(x))
        return out[:, 0]
