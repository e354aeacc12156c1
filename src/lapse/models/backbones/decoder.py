"""Text decoder with cross-attention in every layer (paper 3.2.1).

Legend: U images  B rows (texts)  T text tokens  L cached tokens  N visual tokens
        D width  H heads  d width of a head  V tokens of the table

    rows [B, T] --embed--> self-attention (causal | parallel) --> cross-attention --> mlp  x L
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config import DecoderConfig
from lapse.models.backbones.cross_attention import CrossAttention, Memory, RowsByImage
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.models.layers.transformer import (
    Mlp,
    SelfAttention,
    attend,
    init_linear,
    join_heads,
    run_block,
)

EPSILON = 1e-5


@dataclass(slots=True)
class DecoderCache:
    """Self-attention keys and values during generation; row r uses `filled[r]` tokens.

    Attributes:
        keys, values: per layer [B, H, L, d].
        filled: [B] int64.
    """

    keys: list[Tensor]
    values: list[Tensor]
    filled: Tensor
    memory: Memory

    def reorder(self, rows: Tensor) -> None:
        """Keep these rows, in this order (also repeats them, to open beams)."""
        self.keys = [key.index_select(0, rows) for key in self.keys]
        self.values = [value.index_select(0, rows) for value in self.values]
        self.filled = self.filled[rows]
        self.memory = self.memory.for_rows(rows)


class DecoderBlock(nn.Module):
    """Self-attention, cross-attention and mlp, each after a norm and with a residual."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        width, heads, bias = config.width, config.heads, config.bias
        self.norm_self = nn.LayerNorm(width, eps=EPSILON, bias=bias)
        self.self_attention = SelfAttention(width, heads, bias=bias)
        self.norm_cross = nn.LayerNorm(width, eps=EPSILON, bias=bias)
        self.cross_attention = CrossAttention(width, heads, bias=bias)
        self.norm_mlp = nn.LayerNorm(width, eps=EPSILON, bias=bias)
        self.mlp = Mlp(width, config.mlp_width, bias=bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, mask: Tensor, memory: tuple[Tensor, Tensor], layout: RowsByImage
    ) -> Tensor:
        """[B, T, D] -> [B, T, D]."""
        x = x + self.dropout(self.self_attention(self.norm_self(x), mask))
        return self.finish(x, memory, layout)

    def finish(self, x: Tensor, memory: tuple[Tensor, Tensor], layout: RowsByImage) -> Tensor:
        """Everything after the self-attention."""
        x = x + self.dropout(self.cross_attention(self.norm_cross(x), *memory, layout))
        out: Tensor = x + self.dropout(self.mlp(self.norm_mlp(x)))
        return out


class TextDecoder(nn.Module):
    """Generates text from visual tokens.

    Weights: linear layers, tokens and positions normal with deviation 0.02, norms one and zero.
    With a separate output layer, tokens are normal with deviation one and the output is zero.
    """

    def __init__(self, config: DecoderConfig, kept: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.config = config
        self.tokens = TokenEmbedding(config.width, kept, with_mask=True)
        self.positions = nn.Parameter(torch.empty(config.max_tokens, config.width))
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, eps=EPSILON, bias=config.bias)
        init_linear(self, 0.02)
        nn.init.normal_(self.positions, std=0.02)
        self.output = None if config.tied else nn.Parameter(torch.zeros_like(self.tokens.weight))
        if not config.tied:
            nn.init.normal_(self.tokens.weight)

    @property
    def output_table(self) -> Tensor:
        """The output layer [V, D]: the token embedding, or a separate table."""
        return self.tokens.weight if self.output is None else self.output

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., D] -> [..., V]."""
        return F.linear(hidden, self.output_table)

    def memory(self, visual: Tensor, image_of: Tensor) -> Memory:
        """Keys and values of every layer for [U, N, D] visual tokens, once per image.

        Args:
            visual: [U, N, D].
            image_of: [B] int64, the image of each row.
        """
        pairs = tuple(block.cross_attention.project(visual) for block in self._layers())
        return Memory(pairs, RowsByImage.of(image_of, visual.shape[0]))

    def forward(
        self,
        rows: Tensor,
        memory: Memory,
        is_masked: Tensor,
        lengths: Tensor,
        *,
        attends: bool = True,
    ) -> Tensor:
        """Hidden states of complete texts.

        Args:
            rows: [B, T] rows of the token table.
            memory: from `memory`.
            is_masked: [B, T] bool, input tokens that the mask token replaces; a row with any is
                predicted in parallel, with attention over its full length.
            lengths: [B] tokens in use.
            attends: parallel rows attend to their full length; False: each place to itself.

        Returns:
            [B, T, D]
        """
        self._check_length(rows.shape[1])
        x = self.tokens.embed(rows)
        x = torch.where(is_masked.unsqueeze(-1), self.tokens.mask.to(x.dtype), x)
        x = x + self.positions[: rows.shape[1]]
        mask = attention_mask(lengths, is_masked.any(dim=1), rows.shape[1], attends=attends)
        is_saving = self.config.activation_checkpointing
        for block, pair in zip(self._layers(), memory.pairs, strict=True):
            x = run_block(block, x, mask, pair, memory.layout, is_saving=is_saving)
        out: Tensor = self.norm(x)
        return out

    def start(
        self, rows: Tensor, memory: Memory, lengths: Tensor, max_new_tokens: int
    ) -> tuple[Tensor, DecoderCache]:
        """Read prompts of different lengths once.

        Args:
            rows: [B, T] prompts, padded on the right.
            memory: from `memory`.
            lengths: [B] tokens of each prompt.
            max_new_tokens: the most tokens that will be generated.

        Returns:
            the last hidden state of each prompt [B, D], and the cache for `step`.
        """
        batch, length = rows.shape
        self._check_length(length)
        x = self.tokens.embed(rows) + self.positions[:length]
        mask = attention_mask(lengths, torch.zeros_like(lengths, dtype=torch.bool), length)
        keys, values = [], []
        for block, pair in zip(self._layers(), memory.pairs, strict=True):
            query, key, value = block.self_attention.project(block.norm_self(x))
            keys.append(F.pad(key, (0, 0, 0, max_new_tokens)))
            values.append(F.pad(value, (0, 0, 0, max_new_tokens)))
            attended = block.self_attention.out(join_heads(attend(query, key, value, mask)))
            x = block.finish(x + attended, pair, memory.layout)
        last = x[torch.arange(batch, device=x.device), lengths - 1]
        return self.norm(last), DecoderCache(keys, values, lengths.clone(), memory)

    def step(self, rows: Tensor, cache: DecoderCache) -> Tensor:
        """One more token per row: rows [B] -> hidden [B, D]; the cache grows by one.

        A row that already holds `max_tokens` stays at the last position and its output is
        undefined; `is_full` reports such rows, and the caller ends them.
        """
        index = torch.arange(rows.shape[0], device=rows.device)
        position = cache.filled.clamp(max=self.config.max_tokens - 1)
        x = (self.tokens.embed(rows) + self.positions[position]).unsqueeze(1)  # [B, 1, D]
        size = cache.keys[0].shape[2]
        mask = torch.arange(size, device=rows.device) <= cache.filled.unsqueeze(1)  # [B, L]
        mask = mask[:, None, None, :]
        for layer, block in enumerate(self._layers()):
            query, key, value = block.self_attention.project(block.norm_self(x))
            keys, values = cache.keys[layer], cache.values[layer]
            keys[index, :, cache.filled] = key[:, :, 0].to(keys.dtype)
            values[index, :, cache.filled] = value[:, :, 0].to(values.dtype)
            attended = block.self_attention.out(join_heads(attend(query, keys, values, mask)))
            x = block.finish(x + attended, cache.memory.pairs[layer], cache.memory.layout)
        cache.filled = cache.filled + 1
        out: Tensor = self.norm(x[:, 0])
        return out

    def is_full(self, cache: DecoderCache) -> Tensor:
        """[B] bool, rows without a position for another token."""
        return cache.filled >= self.config.max_tokens

    def _layers(self) -> list[DecoderBlock]:
        return cast("list[DecoderBlock]", list(self.blocks))

    def _check_length(self, length: int) -> None:
        if length > self.config.max_tokens:
            raise ValueError(
                f"a text of {length} tokens exceeds the decoder's {self.config.max_tokens}: "
                "raise decoder.max_tokens or lower data.max_tokens"
            )


def attention_mask(
    lengths: Tensor, parallel: Tensor, width: int, *, attends: bool = True
) -> Tensor:
    """The self-attention mask: causal rows backwards, parallel rows over their full length.

    Causal rows need no mask for padding, which follows everything that is read.

    Args:
        lengths, parallel: [B].
        width: T.
        attends: False: the places of parallel rows attend to themselves alone.

    Returns:
        bool, [1, 1, T, T] where all rows are causal, else [B, 1, T, T].
    """
    index = torch.arange(width, device=lengths.device)
    causal = index[:, None] >= index[None, :]
    if not bool(parallel.any()):
        return causal[None, None]
    if not attends:
        alone = torch.eye(width, dtype=torch.bool, device=lengths.device)
        return torch.where(parallel[:, None, None], alone, causal)[:, None]
    is_used = (index[None, :] < lengths[:, None])[:, None, :]  # [B, 1, T]
    return (causal[None] | (is_used & parallel[:, None, None]))[:, None]
