"""Q-Former, the querying transformer of BLIP-2 (Li et al., 2023b).

Legend: U images  B rows  Q queries  T text tokens  L = Q + T  N visual tokens  D width
        H heads  d width of a head

    queries [Q] --+                          +-- cross-attention to the image -- mlp (queries)
                  +--> norm --> self-attention                                            x layers
    text [T] -----+                          +---------------------------------- mlp (text)

Post-norm blocks as in BERT. Queries and text share the self-attention; the mask decides which
attends to which (figure 2 there). In every `cross_every`-th layer the queries, and only they,
attend to the image. Equal to `Blip2QFormerModel` of transformers with the same weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config.pretraining import QFormerConfig
from lapse.models.layers.transformer import (
    SelfAttention,
    attend,
    init_linear,
    join_heads,
    split_heads,
)

EPSILON = 1e-12
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class ImageMemory:
    """Keys and values of images, [U, H, N, d], of each layer with cross-attention."""

    pairs: dict[int, Pair]

    def of(self, rows: Tensor) -> ImageMemory:
        """The images of these rows (also repeated or reordered)."""
        return ImageMemory({n: (key[rows], value[rows]) for n, (key, value) in self.pairs.items()})

    @classmethod
    def joined(cls, parts: Sequence[ImageMemory]) -> ImageMemory:
        """The images of several memories, one after another."""
        joined = {}
        for layer in parts[0].pairs:
            keys, values = zip(*(part.pairs[layer] for part in parts), strict=True)
            joined[layer] = torch.cat(keys), torch.cat(values)
        return cls(joined)


class FeedForward(nn.Module):
    """norm(x + down(gelu(up(x)))), GELU in its exact form as in BERT."""

    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.width, config.mlp_width)
        self.down = nn.Linear(config.mlp_width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, L, D] -> [B, L, D]."""
        out: Tensor = self.norm(x + self.dropout(self.down(F.gelu(self.up(x)))))
        return out


class CrossAttention(nn.Module):
    """norm(x + attention of the queries to the image)."""

    def __init__(self, config: QFormerConfig, image_width: int) -> None:
        super().__init__()
        self.heads, self.rate = config.heads, config.dropout
        self.query = nn.Linear(config.width, config.width)
        self.key_value = nn.Linear(image_width, 2 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        self.dropout = nn.Dropout(config.dropout)

    def project(self, tokens: Tensor) -> Pair:
        """[U, N, D_v] -> key and value [U, H, N, d]."""
        key, value = self.key_value(tokens).chunk(2, dim=-1)
        return split_heads(key, self.heads), split_heads(value, self.heads)

    def forward(self, x: Tensor, pair: Pair) -> Tensor:
        """[B, Q, D] -> [B, Q, D]."""
        query = split_heads(self.query(x), self.heads)
        attended = join_heads(attend(query, *pair, None, self.rate if self.training else 0.0))
        out: Tensor = self.norm(x + self.dropout(self.out(attended)))
        return out


class QFormerBlock(nn.Module):
    """One layer; `cross` and `mlp_text` are None where it has none."""

    def __init__(
        self, config: QFormerConfig, image_width: int, *, has_cross: bool, has_text: bool
    ) -> None:
        super().__init__()
        self.rate = config.dropout
        self.attention = SelfAttention(config.width, config.heads)
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        self.dropout = nn.Dropout(config.dropout)
        self.cross = CrossAttention(config, image_width) if has_cross else None
        self.mlp_query = FeedForward(config)
        self.mlp_text = FeedForward(config) if has_text else None

    def forward(
        self, x: Tensor, mask: Tensor | None, num_queries: int, image: Pair | None
    ) -> tuple[Tensor, Pair]:
        """[B, L, D] -> [B, L, D], and this layer's self-attention keys and values."""
        query, key, value = self.attention.project(x)
        rate = self.rate if self.training else 0.0
        x = self._attended(x, attend(query, key, value, mask, rate))
        parts = []
        if num_queries:
            front = x[:, :num_queries]
            if self.cross is not None and image is not None:
                front = self.cross(front, image)
            parts.append(self.mlp_query(front))
        if x.shape[1] > num_queries:
            parts.append(self._text(x[:, num_queries:]))
        return torch.cat(parts, dim=1), (key, value)

    def step(self, x: Tensor, past: Pair) -> tuple[Tensor, Pair]:
        """One more text token per row [B, 1, D], which attends to all before it."""
        query, key, value = self.attention.project(x)
        key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        x = self._attended(x, attend(query, key, value))
        return self._text(x), (key, value)

    def _attended(self, x: Tensor, heads: Tensor) -> Tensor:
        out: Tensor = self.norm(x + self.dropout(self.attention.out(join_heads(heads))))
        return out

    def _text(self, x: Tensor) -> Tensor:
        if self.mlp_text is None:
            raise ValueError("this Q-Former was built with has_text=False: it cannot read text")
        out: Tensor = self.mlp_text(x)
        return out


class QFormer(nn.Module):
    """Queries that read an image, alone or together with a text.

    Weights: normal with deviation 0.02 (BERT), norms one and zero.

    Args:
        image_width: width of the encoder's tokens.
        has_text: False omits the text's feed-forward layers, as the second stage does.
    """

    def __init__(self, config: QFormerConfig, image_width: int, *, has_text: bool) -> None:
        super().__init__()
        self.config = config
        self.queries = nn.Parameter(torch.empty(config.queries, config.width))
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        self.norm_image = nn.LayerNorm(image_width) if config.norm_image else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        crosses = [layer % config.cross_every == 0 for layer in range(config.layers)]
        self.blocks = nn.ModuleList(
            QFormerBlock(config, image_width, has_cross=has_cross, has_text=has_text)
            for has_cross in crosses
        )
        init_linear(self, 0.02)
        nn.init.normal_(self.queries, std=0.02)

    def image_memory(self, tokens: Tensor) -> ImageMemory:
        """Keys and values of every layer for the visual tokens [U, N, D_v] of images."""
        tokens = self.norm_image(tokens)
        crosses = {layer: block.cross for layer, block in enumerate(self._layers())}
        return ImageMemory(
            {n: cross.project(tokens) for n, cross in crosses.items() if cross is not None}
        )

    def read(self, tokens: Tensor) -> Tensor:
        """Visual tokens [U, N, D_v] -> the output of the queries [U, Q, D], without text."""
        return self.run(None, self.image_memory(tokens), len(tokens), None).hidden

    def run(
        self, text: Tensor | None, memory: ImageMemory | None, rows: int, mask: Tensor | None
    ) -> QFormerOutput:
        """Run the queries (if there is an image) and the text (if there is one) together.

        Args:
            text: embeddings [B, T, D] with their positions, before the norm, or None.
            memory: the images of the B rows; None reads the text without queries.
            rows: B.
            mask: bool, broadcastable to [B, 1, L, L], True where attention is allowed; None
                allows all.
        """
        num_queries = 0 if memory is None else self.config.queries
        parts = [] if memory is None else [self.queries.expand(rows, -1, -1)]
        parts += [] if text is None else [text]
        x = self.dropout(self.norm(torch.cat([part.float() for part in parts], dim=1)))
        pairs = []
        for layer, block in enumerate(self._layers()):
            image = None if memory is None else memory.pairs.get(layer)
            x, pair = block(x, mask, num_queries, image)
            pairs.append(pair)
        return QFormerOutput(x[:, :num_queries], x[:, num_queries:], tuple(pairs))

    def step(self, text: Tensor, past: Sequence[Pair]) -> tuple[Tensor, tuple[Pair, ...]]:
        """One more text token per row: embeddings [B, D] -> hidden [B, D] and the new past."""
        x = self.norm(text).unsqueeze(1)
        pairs = []
        for block, pair in zip(self._layers(), past, strict=True):
            x, grown = block.step(x, pair)
            pairs.append(grown)
        return x[:, 0], tuple(pairs)

    def _layers(self) -> list[QFormerBlock]:
        return cast("list[QFormerBlock]", list(self.blocks))


@dataclass(frozen=True, slots=True)
class QFormerOutput:
    """The output of one run.

    Attributes:
        hidden: [B, Q, D], of the queries; Q is 0 without an image.
        text: [B, T, D], of the text; T is 0 without a text.
        pairs: self-attention keys and values of every layer, [B, H, L, d].
    """

    hidden: Tensor
    text: Tensor
    pairs: tuple[Pair, ...]


def is_text(lengths: Tensor, width: int) -> Tensor:
    """[B] lengths -> [B, T] bool, False on padding."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]


def alone_mask(lengths: Tensor, width: int) -> Tensor:
    """Contrast: a text attends to itself, in both directions. [B, 1, 1, T]."""
    return is_text(lengths, width)[:, None, None, :]


def matching_mask(lengths: Tensor, width: int, queries: int) -> Tensor:
    """Matching: queries and text attend to each other and themselves. [B, 1, 1, Q + T]."""
    used = is_text(lengths, width)
    return torch.cat([used.new_ones(len(used), queries), used], dim=1)[:, None, None, :]


def generation_mask(lengths: Tensor, width: int, queries: int) -> Tensor:
    """Generation: text attends to the queries and the text before it, queries to queries.

    Returns:
        [B, 1, L, L] bool


    queries  1 1 | 0 0 0
    text     1 1 | 1 0 0
             1 1 | 1 1 0
    """
    total = queries + width
    index = torch.arange(total, device=lengths.device)
    causal = (index[:, None] >= index[None, :]) | (index[None, :] < queries)
    used = torch.cat([causal.new_ones(len(lengths), queries), is_text(lengths, width)], dim=1)
    return (causal[None] & used[:, None, :])[:, None]
