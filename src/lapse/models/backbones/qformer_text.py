"""The text part of BLIP-2's first stage: words into the Q-Former, and logits out of it.

Legend: B rows  R targets  T text tokens  D width  V tokens of the table

    [CLS] answer ...   read in both directions (contrast, matching)
    [DEC] answer ...   generated token by token (generation)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config.pretraining import QFormerConfig
from lapse.core.tokenizer import Tokenizer
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.models.layers.token_losses import TokenLosses, token_losses

EPSILON = 1e-12


class QFormerText(nn.Module):
    """Tokens, positions, the two start tokens, and the output head (tied, as in BERT).

    Weights: normal with deviation 0.02, norm one and zero.
    """

    def __init__(self, config: QFormerConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.max_tokens = config.max_tokens
        self.tokens = TokenEmbedding(config.width, tokenizer.kept, size=tokenizer.size)
        self.positions = nn.Parameter(torch.empty(config.max_tokens, config.width))
        self.starts = nn.Parameter(torch.empty(2, config.width))  # [CLS], [DEC]
        self.transform = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        self.bias = nn.Parameter(torch.zeros(self.tokens.num_rows))
        for weight in (self.positions, self.starts, self.transform.weight):
            nn.init.normal_(weight, std=0.02)
        nn.init.zeros_(self.transform.bias)

    def embed(self, rows: Tensor, *, is_generated: bool) -> Tensor:
        """Rows of the token table [B, T] -> [B, 1 + T, D], starting with [DEC] or [CLS].

        Raises:
            ValueError: the text and its start token are longer than the positions.
        """
        length = rows.shape[1] + 1
        if length > self.max_tokens:
            raise ValueError(
                f"a text of {length} tokens exceeds the Q-Former's {self.max_tokens}: raise "
                "model.qformer.max_tokens or lower data.max_tokens"
            )
        start = self.starts[int(is_generated)].expand(len(rows), 1, -1)
        x = torch.cat([start, self.tokens.embed(rows)], dim=1)
        return x + self.positions[:length]

    def generation_start(self, num_rows: int) -> Tensor:
        """[DEC] at the first position of each row: [B, D]."""
        return (self.starts[1] + self.positions[0]).expand(num_rows, -1)

    def embed_at(self, rows: Tensor, position: int) -> Tensor:
        """Rows [B] of the token table at one position -> [B, D]."""
        return self.tokens.embed(rows) + self.positions[min(position, self.max_tokens - 1)]

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., D] -> [..., V]."""
        return self.tokens.logits(self._head(hidden)) + self.bias

    def losses(self, hidden: Tensor, targets: Tensor, row: Tensor, smoothing: float) -> TokenLosses:
        """Loss of targets [R] (rows of the token table), from their hidden states [R, D]."""
        table = self.tokens.weight
        return token_losses(self._head(hidden), table, targets, row, smoothing, self.bias)

    def _head(self, hidden: Tensor) -> Tensor:
        out: Tensor = self.norm(F.gelu(self.transform(hidden)))
        return out
