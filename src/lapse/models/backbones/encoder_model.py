"""A model with a vision encoder, frozen or trained: the base of every model that reads images.

A frozen encoder has no gradients, stays in evaluation mode, and is absent from the optimizer,
which takes only parameters that require a gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn

from lapse.config import EncoderConfig
from lapse.models.backbones.build_encoder import build_encoder


class EncoderModel(nn.Module):
    """Holds `encoder`, with random weights until `load_encoder` replaces them.

    Args:
        config: sizes of the encoder.
        is_trained: False freezes the encoder.
    """

    def __init__(self, config: EncoderConfig, *, is_trained: bool) -> None:
        super().__init__()
        self.encoder = build_encoder(config)
        self.is_encoder_trained = is_trained
        self.encoder.requires_grad_(is_trained)

    def train(self, mode: bool = True) -> Self:
        """As nn.Module, but a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if not self.is_encoder_trained:
            self.encoder.eval()
        return self

    def load_encoder(self, state: Mapping[str, Tensor]) -> None:
        """Load the weights of a pretrained encoder; all must be present and fit."""
        self.encoder.load_state_dict(dict(state))

    def encode(self, pixels: Tensor) -> Tensor:
        """Normalised [U, C, S, S] -> tokens [U, N, D]; no gradient when frozen."""
        with torch.set_grad_enabled(self.is_encoder_trained and torch.is_grad_enabled()):
            tokens: Tensor = self.encoder(pixels)
        return tokens
