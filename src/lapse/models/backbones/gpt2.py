"""GPT-2 (Radford et al., 2019), the language model behind the visual tokens (paper 3.4).

Legend: B prompts  k beams  R rows = B * k  L positions  P prefix  S generated tokens
        D width  H heads  d width of a head  V tokens of the table

Equal to `GPT2LMHeadModel` of transformers with the same weights. Its input is embeddings, so that
visual tokens can precede the text. In beam search, the keys and values of the prefix (about 2,000
visual tokens) are stored once per prompt, and those of the generated tokens once per beam.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config import LanguageModelConfig
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.models.layers.transformer import (
    Mask,
    Mlp,
    SelfAttention,
    attend,
    init_linear,
    join_heads,
    run_block,
)

EPSILON = 1e-5


@dataclass(slots=True)
class PrefixCache:
    """Keys and values of the prompts, once, and of the tokens that each beam has generated.

    Attributes:
        prefix: per layer (key, value), each [B, H, P, d].
        is_prefix: [B, P] bool, False on padding.
        suffix: per layer (key, value), each [R, H, S, d]; None before the first step.
        num_generated: S.
    """

    prefix: list[tuple[Tensor, Tensor]]
    is_prefix: Tensor
    suffix: list[tuple[Tensor, Tensor] | None]
    num_generated: int = 0

    def reorder(self, rows: Tensor) -> None:
        """Continue from these rows; the prefix is unchanged."""
        self.suffix = [
            None if pair is None else (pair[0].index_select(0, rows), pair[1].index_select(0, rows))
            for pair in self.suffix
        ]


class GPT2Block(nn.Module):
    """Pre-norm block: self-attention, then mlp."""

    def __init__(self, config: LanguageModelConfig) -> None:
        super().__init__()
        self.rate = config.dropout
        self.norm_attention = nn.LayerNorm(config.width, eps=EPSILON)
        self.attention = SelfAttention(config.width, config.heads)
        self.norm_mlp = nn.LayerNorm(config.width, eps=EPSILON)
        self.mlp = Mlp(config.width, 4 * config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Mask) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """[B, L, D] -> [B, L, D], and this layer's keys and values."""
        query, key, value = self.attention.project(self.norm_attention(x))
        rate = self.rate if self.training else 0.0
        attended = self.attention.out(join_heads(attend(query, key, value, mask, rate)))
        return self._finish(x, attended), (key, value)

    def step(self, x: Tensor, cache: PrefixCache, layer: int) -> Tensor:
        """One token of every beam: [R, 1, D] -> [R, 1, D]; the cache grows."""
        query, key, value = self.attention.project(self.norm_attention(x))
        past = cache.suffix[layer]
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        cache.suffix[layer] = (key, value)
        attended = attend_shared(query, cache.prefix[layer], cache.is_prefix, (key, value))
        return self._finish(x, self.attention.out(join_heads(attended)))

    def _finish(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.dropout(attended)
        out: Tensor = x + self.dropout(self.mlp(self.norm_mlp(x)))
        return out


def attend_shared(
    query: Tensor,
    prefix: tuple[Tensor, Tensor],
    is_prefix: Tensor,
    suffix: tuple[Tensor, Tensor],
) -> Tensor:
    """Attention of one query per beam to the shared prefix and the suffix of the beam.

    Args:
        query: [R, H, 1, d].
        prefix: key, value [B, H, P, d].
        is_prefix: [B, P].
        suffix: key, value [R, H, S, d].

    Returns:
        [R, H, 1, d]
    """
    rows, heads, _, depth = query.shape
    prompts = prefix[0].shape[0]
    beams = rows // prompts
    scaled = query / math.sqrt(depth)
    grouped = scaled.view(prompts, beams, heads, depth).transpose(1, 2)  # [B, H, k, d]
    on_prefix = grouped @ prefix[0].transpose(-1, -2)  # [B, H, k, P]
    on_prefix = on_prefix.masked_fill(~is_prefix[:, None, None, :], -math.inf)
    on_prefix = on_prefix.transpose(1, 2).reshape(rows, heads, 1, -1)
    on_suffix = scaled @ suffix[0].transpose(-1, -2)  # [R, H, 1, S]
    weights = torch.cat([on_prefix, on_suffix], dim=-1).softmax(dim=-1)
    length = on_prefix.shape[-1]
    from_suffix = weights[..., length:] @ suffix[1]
    shared = weights[..., :length].reshape(prompts, beams, heads, length).transpose(1, 2)
    from_prefix = (shared @ prefix[1]).transpose(1, 2).reshape(rows, heads, 1, depth)
    return from_suffix + from_prefix


class GPT2(nn.Module):
    """Embeddings -> hidden states; `tokens` holds the tied output layer.

    Weights: normal, deviation 0.02; the two projections that end a block 0.02 / sqrt(2 layers),
    as GPT-2; positions 0.01.
    """

    def __init__(self, config: LanguageModelConfig, kept: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.config = config
        self.tokens = TokenEmbedding(config.width, kept)
        self.positions = nn.Parameter(torch.empty(config.max_positions, config.width))
        self.blocks = nn.ModuleList(GPT2Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        self.dropout = nn.Dropout(config.dropout)
        init_linear(self, 0.02)
        nn.init.normal_(self.positions, std=0.01)
        for block in self._layers():
            for last in (block.attention.out, block.mlp.down):
                nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * config.layers))

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings with their positions added [B, L, D] -> hidden states [B, L, D], causal."""
        x = self.dropout(x)
        for block in self._layers():
            is_saving = self.config.activation_checkpointing
            x, _ = run_block(block, x, "causal", is_saving=is_saving)
        out: Tensor = self.norm(x)
        return out

    def start(self, x: Tensor, is_prefix: Tensor) -> tuple[Tensor, PrefixCache]:
        """Read the prompts once.

        Args:
            x: [B, P, D] embeddings, padded on the right.
            is_prefix: [B, P] bool, False on padding.

        Returns:
            the last hidden state of each prompt [B, D], and the cache.
        """
        pairs = []
        for block in self._layers():
            x, (key, value) = block(x, "causal")
            pairs.append((key.contiguous(), value.contiguous()))  # otherwise each step copies them
        hidden: Tensor = self.norm(x)
        last = is_prefix.sum(dim=1) - 1
        index = torch.arange(x.shape[0], device=x.device)
        return hidden[index, last], PrefixCache(pairs, is_prefix, [None] * len(pairs))

    def step(self, x: Tensor, cache: PrefixCache) -> Tensor:
        """One token of every beam: embeddings [R, D] -> hidden [R, D]."""
        x = x.unsqueeze(1)
        for layer, block in enumerate(self._layers()):
            x = block.step(x, cache, layer)
        cache.num_generated += 1
        out: Tensor = self.norm(x[:, 0])
        return out

    def _layers(self) -> list[GPT2Block]:
        return cast("list[GPT2Block]", list(self.blocks))


def resized_positions(table: Tensor, length: int) -> Tensor:
    """A position table [L, D] interpolated linearly to another length [length, D]."""
    line = table.t().unsqueeze(0)
    return F.interpolate(line, size=length, mode="linear", align_corners=True)[0].t()
