"""A system with a vision encoder, frozen or not: the part that all compared systems share.

Frozen means: no gradient is asked for, evaluation mode is kept, and the optimizer, which takes
what requires a gradient, never sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from lapse.config import EncoderConfig
from lapse.models.backbones.build_encoder import build_encoder

Own = TypeVar("Own", bound="FrozenEncoderModel")


class FrozenEncoderModel(nn.Module):
    """Holds `encoder`; weights of stage 1 arrive by `load_encoder`.

    Args:
        config: sizes of the encoder.
        is_trained: whether stage 2 trains it further.
    """

    def __init__(self, config: EncoderConfig, *, is_trained: bool) -> None:
        super().__init__()
        self.encoder = build_encoder(config)
        self.is_encoder_trained = is_trained
        self.encoder.requires_grad_(is_trained)

    def train(self: Own, mode: bool = True) -> Own:
        """As nn.Module, but a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if not self.is_encoder_trained:
            self.encoder.eval()
        return self

    def load_encoder(self, state: Mapping[str, Tensor]) -> None:
        """Take stage 1's encoder; every weight must be there and fit."""
        self.encoder.load_state_dict(dict(state))

    def encode(self, pixels: Tensor) -> Tensor:
        """Normalised [U, C, S, S] -> tokens [U, N, D]; no gradient when frozen."""
        with torch.set_grad_enabled(self.is_encoder_trained and torch.is_grad_enabled()):
            tokens: Tensor = self.encoder(pixels)
        return tokens
