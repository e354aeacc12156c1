"""Text decoder with cross-attention in every layer (paper 3.2.1).

Legend: U images  B rows (texts)  R rows per image  T text tokens  N visual tokens
        D width  H heads  d width of a head  V tokens of the table

Several rows look at one image, in any order. Its keys and values are computed once and are not
even copied: the rows of an image become more queries against one set of keys.

    image_of [1, 0, 1]  ->  image 0: row 1, (empty)
                            image 1: row 0, row 2

    rows [B, T] --embed--> self-attention (causal | parallel) --> cross-attention --> mlp  x L
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lapse.config import DecoderConfig
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.models.layers.transformer import (
    Mlp,
    SelfAttention,
    attend,
    init_linear,
    join_heads,
    split_heads,
)

EPSILON = 1e-5
# Rows are laid out image by image unless that leaves more empty places than this share of the
# rows; then every row gets its own copy of its image's keys and values.
MOST_EMPTY = 1.0


@dataclass(frozen=True, slots=True)
class RowsByImage:
    """Where the rows stand when they are laid out image by image, each with R places.

    Attributes:
        image_of: [B], the image of each row.
        images: U.
        per_image: R, the most rows that one image has; 0 where the counts are too uneven.
        places: [B], the place of each row among the U * R; None where row b stands at place b.
    """

    image_of: Tensor
    images: int
    per_image: int
    places: Tensor | None

    @classmethod
    def of(cls, image_of: Tensor, images: int) -> RowsByImage:
        """Find the layout once, for all layers.

        Raises:
            ValueError: a row names an image that is not there.
        """
        owners = image_of.tolist()
        counts = [0] * images
        ranks = []
        for owner in owners:
            if not 0 <= owner < images:
                raise ValueError(f"a row names image {owner}, the batch has {images}")
            ranks.append(counts[owner])
            counts[owner] += 1
        per_image = max(counts, default=0)
        if images * per_image > (1 + MOST_EMPTY) * len(owners):
            return cls(image_of, images, 0, None)
        places = [owner * per_image + rank for owner, rank in zip(owners, ranks, strict=True)]
        if places == list(range(images * per_image)):
            return cls(image_of, images, per_image, None)
        return cls(image_of, images, per_image, torch.tensor(places, device=image_of.device))

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query [B, H, T, d] against key and value [U, H, N, d] -> [B, H, T, d]."""
        if self.per_image == 0:
            return attend(query, key[self.image_of], value[self.image_of])
        _, heads, length, depth = query.shape
        laid = query
        if self.places is not None:
            empty = query.new_zeros(self.images * self.per_image, heads, length, depth)
            laid = empty.index_copy(0, self.places, query)
        laid = laid.reshape(self.images, self.per_image, heads, length, depth).transpose(1, 2)
        seen = attend(
            laid.reshape(self.images, heads, self.per_image * length, depth), key, value
        )  # [U, H, R * T, d]
        seen = seen.view(self.images, heads, self.per_image, length, depth).transpose(1, 2)
        seen = seen.reshape(self.images * self.per_image, heads, length, depth)
        return seen if self.places is None else seen.index_select(0, self.places)


@dataclass(frozen=True, slots=True)
class Memory:
    """Cross-attention keys and values of every layer, each [U, H, N, d], and who looks where.

    Attributes:
        keys, values: one tensor per layer.
        layout: the rows of each image.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    layout: RowsByImage

    def for_rows(self, rows: Tensor) -> Memory:
        """The same images, seen by other rows (indices into the present ones)."""
        layout = RowsByImage.of(self.layout.image_of[rows], self.layout.images)
        return Memory(self.keys, self.values, layout)


@dataclass(slots=True)
class DecoderCache:
    """Self-attention keys and values while writing; row r has `filled[r]` tokens in use.

    Attributes:
        keys, values: per layer [B, H, L, d] with room for L tokens.
        filled: [B] int64.
        memory: of the same rows.
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


class CrossAttention(nn.Module):
    """Rows of text look at the visual tokens of their image."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def project(self, visual: Tensor) -> tuple[Tensor, Tensor]:
        """[U, N, D] -> key, value, each [U, H, N, d]."""
        key, value = self.key_value(visual).chunk(2, dim=-1)
        return split_heads(key, self.heads), split_heads(value, self.heads)

    def forward(self, x: Tensor, key: Tensor, value: Tensor, layout: RowsByImage) -> Tensor:
        """x [B, T, D], key and value [U, H, N, d] -> [B, T, D]."""
        query = split_heads(self.query(x), self.heads)  # [B, H, T, d]
        out: Tensor = self.out(join_heads(layout.attend(query, key, value)))
        return out


class DecoderBlock(nn.Module):
    """Self-attention, cross-attention and mlp, each behind a norm and added."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(config.width, eps=EPSILON)
        self.self_attention = SelfAttention(config.width, config.heads)
        self.norm_cross = nn.LayerNorm(config.width, eps=EPSILON)
        self.cross_attention = CrossAttention(config.width, config.heads)
        self.norm_mlp = nn.LayerNorm(config.width, eps=EPSILON)
        self.mlp = Mlp(config.width, config.mlp_width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, mask: Tensor, memory: tuple[Tensor, Tensor], layout: RowsByImage
    ) -> Tensor:
        """[B, T, D] -> [B, T, D]."""
        x = x + self.dropout(self.self_attention(self.norm_self(x), mask))
        return self.finish(x, memory, layout)

    def finish(self, x: Tensor, memory: tuple[Tensor, Tensor], layout: RowsByImage) -> Tensor:
        """Everything behind the self-attention."""
        x = x + self.dropout(self.cross_attention(self.norm_cross(x), *memory, layout))
        out: Tensor = x + self.dropout(self.mlp(self.norm_mlp(x)))
        return out


class TextDecoder(nn.Module):
    """Writes text from visual tokens.

    Weights: linear layers, tokens and positions normal with deviation 0.02, norms one and zero.
    """

    def __init__(self, config: DecoderConfig, kept: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.config = config
        self.tokens = TokenEmbedding(config.width, kept, with_mask=True)
        self.positions = nn.Parameter(torch.empty(config.max_tokens, config.width))
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        init_linear(self, 0.02)
        nn.init.normal_(self.positions, std=0.02)

    def memory(self, visual: Tensor, image_of: Tensor) -> Memory:
        """Keys and values of every layer for [U, N, D] visual tokens, once per image."""
        pairs = [block.cross_attention.project(visual) for block in self._layers()]
        layout = RowsByImage.of(image_of, visual.shape[0])
        return Memory(tuple(key for key, _ in pairs), tuple(value for _, value in pairs), layout)

    def forward(self, rows: Tensor, memory: Memory, hidden_by: Tensor, lengths: Tensor) -> Tensor:
        """Hidden states of whole texts.

        Args:
            rows: [B, T] rows of the token table.
            memory: from `memory`.
            hidden_by: [B, T] bool, input tokens replaced by the mask token; a row with any is
                predicted in parallel and attends to its whole length.
            lengths: [B] tokens in use.

        Returns:
            [B, T, D]
        """
        self._check_length(rows.shape[1])
        x = self.tokens.embed(rows)
        x = torch.where(hidden_by.unsqueeze(-1), self.tokens.mask.to(x.dtype), x)
        x = x + self.positions[: rows.shape[1]]
        mask = attention_mask(lengths, hidden_by.any(dim=1), rows.shape[1])
        for layer, block in enumerate(self._layers()):
            pair = (memory.keys[layer], memory.values[layer])
            if self.config.activation_checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, mask, pair, memory.layout, use_reentrant=False)
            else:
                x = block(x, mask, pair, memory.layout)
        out: Tensor = self.norm(x)
        return out

    def start(
        self, rows: Tensor, memory: Memory, lengths: Tensor, room: int
    ) -> tuple[Tensor, DecoderCache]:
        """Read prompts of different lengths once.

        Args:
            rows: [B, T] prompts, padded on the right.
            memory: from `memory`.
            lengths: [B] tokens of each prompt.
            room: how many tokens will be written at most.

        Returns:
            the last hidden state of each prompt [B, D] and the cache to go on with.
        """
        batch, length = rows.shape
        self._check_length(length)
        x = self.tokens.embed(rows) + self.positions[:length]
        mask = attention_mask(lengths, torch.zeros_like(lengths, dtype=torch.bool), length)
        keys, values = [], []
        for layer, block in enumerate(self._layers()):
            query, key, value = block.self_attention.project(block.norm_self(x))
            keys.append(F.pad(key, (0, 0, 0, room)))
            values.append(F.pad(value, (0, 0, 0, room)))
            seen = block.self_attention.out(join_heads(attend(query, key, value, mask)))
            pair = (memory.keys[layer], memory.values[layer])
            x = block.finish(x + seen, pair, memory.layout)
        last = x[torch.arange(batch, device=x.device), lengths - 1]
        return self.norm(last), DecoderCache(keys, values, lengths.clone(), memory)

    def step(self, rows: Tensor, cache: DecoderCache) -> Tensor:
        """One more token per row: rows [B] -> hidden [B, D]; the cache grows by one.

        A row that already holds `max_tokens` stays at the last position; what is written for it
        means nothing, and `is_full` tells the caller to end it.
        """
        index = torch.arange(rows.shape[0], device=rows.device)
        place = cache.filled.clamp(max=self.config.max_tokens - 1)
        x = (self.tokens.embed(rows) + self.positions[place]).unsqueeze(1)  # [B, 1, D]
        room = cache.keys[0].shape[2]
        mask = torch.arange(room, device=rows.device) <= cache.filled.unsqueeze(1)  # [B, L]
        mask = mask[:, None, None, :]
        for layer, block in enumerate(self._layers()):
            query, key, value = block.self_attention.project(block.norm_self(x))
            cache.keys[layer][index, :, cache.filled] = key[:, :, 0].to(cache.keys[layer].dtype)
            cache.values[layer][index, :, cache.filled] = value[:, :, 0].to(
                cache.values[layer].dtype
            )
            seen = attend(query, cache.keys[layer], cache.values[layer], mask)
            seen = block.self_attention.out(join_heads(seen))
            pair = (cache.memory.keys[layer], cache.memory.values[layer])
            x = block.finish(x + seen, pair, cache.memory.layout)
        cache.filled = cache.filled + 1
        out: Tensor = self.norm(x[:, 0])
        return out

    def is_full(self, cache: DecoderCache) -> Tensor:
        """[B] bool, rows that have no position left for one more token."""
        return cache.filled >= self.config.max_tokens

    def _layers(self) -> list[DecoderBlock]:
        return cast("list[DecoderBlock]", list(self.blocks))

    def _check_length(self, length: int) -> None:
        if length > self.config.max_tokens:
            raise ValueError(
                f"a text of {length} tokens exceeds the decoder's {self.config.max_tokens}: "
                "raise decoder.max_tokens or lower data.max_tokens"
            )


def attention_mask(lengths: Tensor, parallel: Tensor, width: int) -> Tensor:
    """Who may look at whom: causal rows backwards, parallel rows at their whole length.

    Padding needs no mask in causal rows: it stands behind everything that is read.

    Args:
        lengths, parallel: [B].
        width: T.

    Returns:
        bool, [1, 1, T, T] where all rows are causal, else [B, 1, T, T].
    """
    index = torch.arange(width, device=lengths.device)
    causal = index[:, None] >= index[None, :]
    if not bool(parallel.any()):
        return causal[None, None]
    whole = (index[None, :] < lengths[:, None])[:, None, :]  # [B, 1, T]
    return (causal[None] | (whole & parallel[:, None, None]))[:, None]
