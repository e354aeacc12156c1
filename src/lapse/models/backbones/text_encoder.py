"""SigLIP text transformer (Zhai et al., 2023): one text -> one vector.

Legend: B texts  T tokens  D width  E width of the common space

    tokens + positions --blocks (pre-norm, attention in both directions)--> norm
        --> the end token's vector --> linear --> [B, E]

Equal to `SiglipTextModel` of transformers with the same weights. There a text is padded to the
maximum length and the padding is read; here the padding is masked and the vector is taken at the
end of the text (docs/explanation/deviations.md 41).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lapse.config.pretraining import TextEncoderConfig
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.models.layers.transformer import EPSILON, PreNormBlock, init_linear


class TextEncoder(nn.Module):
    """Reads complete texts in both directions.

    Weights: linear layers normal with deviation width ** -0.5, tokens and positions 0.02, norms
    one and zero.

    Args:
        embedding_width: E.
        kept: ids of a trimmed vocabulary, None for all.
    """

    def __init__(
        self, config: TextEncoderConfig, embedding_width: int, kept: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.tokens = TokenEmbedding(config.width, kept)
        self.positions = nn.Parameter(torch.empty(config.max_tokens, config.width))
        self.blocks = nn.ModuleList(
            PreNormBlock(config.width, config.heads, config.mlp_width) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        self.head = nn.Linear(config.width, embedding_width)
        init_linear(self, config.width**-0.5)
        nn.init.normal_(self.positions, std=0.02)

    def hidden(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Rows of the token table [B, T], lengths [B] -> [B, T, D].

        Raises:
            ValueError: the texts are longer than the positions.
        """
        length = rows.shape[1]
        if length > self.config.max_tokens:
            raise ValueError(
                f"a text of {length} tokens exceeds the text encoder's {self.config.max_tokens}: "
                "raise model.text.max_tokens or lower data.max_tokens"
            )
        x = self.tokens.embed(rows) + self.positions[:length]
        index = torch.arange(length, device=rows.device)
        mask = (index < lengths[:, None])[:, None, None, :]  # [B, 1, 1, T]
        for block in self.blocks:
            x = block(x, mask)
        out: Tensor = self.norm(x)
        return out

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Rows of the token table [B, T], lengths [B] -> [B, E]."""
        hidden = self.hidden(rows, lengths)
        index = torch.arange(len(rows), device=rows.device)
        out: Tensor = self.head(hidden[index, lengths - 1])
        return out
