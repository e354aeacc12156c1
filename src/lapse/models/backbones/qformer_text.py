"""The text side of BLIP-2's first stage: words into the Q-Former, and words out of it.

Legend: B rows  T text tokens  D width  V tokens of the table

    [CLS] answer ...   read as a whole (contrast, matching)
    [DEC] answer ...   written word by word (generation)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config.pretraining import QFormerConfig
from lapse.models.layers.token_embedding import TokenEmbedding

EPSILON = 1e-12


class QueryText(nn.Module):
    """Tokens, positions, the two first tokens, and the head that writes (tied, as in BERT).

    Weights: normal with deviation 0.02, norm one and zero.
    """

    def __init__(self, config: QFormerConfig, kept: tuple[int, ...] | None) -> None:
        super().__init__()
        self.max_tokens = config.max_tokens
        self.tokens = TokenEmbedding(config.width, kept)
        self.positions = nn.Parameter(torch.empty(config.max_tokens, config.width))
        self.starts = nn.Parameter(torch.empty(2, config.width))  # [CLS], [DEC]
        self.transform = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        self.bias = nn.Parameter(torch.zeros(self.tokens.num_rows))
        for weight in (self.positions, self.starts, self.transform.weight):
            nn.init.normal_(weight, std=0.02)
        nn.init.zeros_(self.transform.bias)

    def embed(self, rows: Tensor, *, is_written: bool) -> Tensor:
        """Rows of the token table [B, T] -> [B, 1 + T, D], begun by [DEC] or [CLS].

        Raises:
            ValueError: the text and its first token are longer than the positions.
        """
        length = rows.shape[1] + 1
        if length > self.max_tokens:
            raise ValueError(
                f"a text of {length} tokens exceeds the Q-Former's {self.max_tokens}: raise "
                "model.qformer.max_tokens or lower data.max_tokens"
            )
        start = self.starts[int(is_written)].expand(len(rows), 1, -1)
        x = torch.cat([start, self.tokens.embed(rows)], dim=1)
        return x + self.positions[:length]

    def one(self, rows: Tensor, place: int) -> Tensor:
        """Rows [B] of the token table at one place -> [B, D]."""
        return self.tokens.embed(rows) + self.positions[min(place, self.max_tokens - 1)]

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., D] -> [..., V]."""
        x = self.norm(F.gelu(self.transform(hidden)))
        return self.tokens.logits(x) + self.bias
