"""Vision adapter: two linear layers with a GELU (paper 3.2.1 and equation 3)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Adapter(nn.Module):
    """Projects visual tokens into the width of the text.

    Weights: PyTorch's linear default (uniform, fan-in).

    Args:
        vision_width: width of the encoder's tokens.
        text_width: width of the decoder or language model.
        hidden_width: between the two layers; `text_width` unless given.
    """

    def __init__(self, vision_width: int, text_width: int, hidden_width: int | None = None) -> None:
        super().__init__()
        hidden = text_width if hidden_width is None else hidden_width
        self.first = nn.Linear(vision_width, hidden)
        self.second = nn.Linear(hidden, text_width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[..., N, D_v] -> [..., N, D_t]."""
        out: Tensor = self.second(F.gelu(self.first(tokens)))
        return out
