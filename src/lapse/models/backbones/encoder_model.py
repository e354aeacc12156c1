"""A model with a vision encoder, frozen or trained: the base of every model that reads images.

Legend: U images  C channels  S image side  N visual tokens  D width of the encoder

A frozen part has no gradients, stays in evaluation mode, and is absent from the optimizer, which
takes only parameters that require a gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn

from lapse.config import EncoderConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch, normalise
from lapse.models.backbones.hf_encoder import HFEncoder
from lapse.models.backbones.vision_encoder import VisionEncoder


def build_encoder(config: EncoderConfig) -> nn.Module:
    """[U, C, S, S] in [-1, 1] -> [U, N, D], with random weights; ours or one of transformers."""
    return VisionEncoder(config) if config.hf_config is None else HFEncoder(config)


class EncoderModel(nn.Module):
    """Holds `encoder`, with random weights until `load_encoder` replaces them.

    Registered models are built from their configuration (sizes and choices) and the tokenizer.

    Args:
        tokenizer: encodes and decodes the model's texts; decides which tokens have a row.
        is_encoder_trained: False freezes the encoder.

    Attributes:
        reads_features: the model takes cached tokens of a frozen encoder (`Batch.features`).
        further_parts: submodules that are taken from the run of the encoder too.
        sharded_parts: submodules whose blocks FSDP gathers one at a time, because they run exactly
            once in each `loss` on every rank. Other parts, such as a decoder that runs once for
            each group of text lengths, are gathered together.
    """

    reads_features = True
    further_parts: tuple[str, ...] = ()
    sharded_parts: tuple[str, ...] = ("encoder",)

    def __init__(
        self, config: EncoderConfig, tokenizer: Tokenizer, *, is_encoder_trained: bool
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.frozen_parts: tuple[str, ...] = ()
        self.channels = config.channels
        self.encoder = build_encoder(config)
        if not is_encoder_trained:
            self.freeze("encoder")

    def freeze(self, part: str) -> None:
        """Freeze the submodule of this name."""
        self.frozen_parts = (*self.frozen_parts, part)
        self.get_submodule(part).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """As nn.Module, but frozen parts stay in evaluation mode."""
        super().train(mode)
        for part in self.frozen_parts:
            self.get_submodule(part).eval()
        return self

    def load_encoder(self, state: Mapping[str, Tensor]) -> None:
        """Load the weights of a pretrained encoder; all must be present and fit."""
        self.encoder.load_state_dict(dict(state))

    def load_part(self, part: str, state: Mapping[str, Tensor]) -> str:
        """Load one of `further_parts`; tensors that the part does not have are left out.

        Returns:
            one sentence for the log.

        Raises:
            ValueError: a tensor is missing or has another shape.
        """
        if not state:
            return f"{part}: random weights (that run has none)"
        module = self.get_submodule(part)
        expected = module.state_dict()
        wrong = [k for k, v in expected.items() if k not in state or state[k].shape != v.shape]
        if wrong:
            raise ValueError(
                f"{part} of that run does not fit in {len(wrong)} tensors, the first is "
                f"{wrong[0]}: give the models of both runs the same sizes"
            )
        module.load_state_dict({key: state[key] for key in expected})
        return f"{part}: {len(expected)} tensors of the same run"

    def encode(self, images: Tensor) -> Tensor:
        """Visual tokens of images: uint8 [U, 1, S, S] -> [U, N, D]; no gradient when frozen."""
        is_trained = "encoder" not in self.frozen_parts
        with torch.set_grad_enabled(is_trained and torch.is_grad_enabled()):
            tokens: Tensor = self.encoder(normalise(images, self.channels))
        return tokens

    def image_tokens(self, batch: Batch) -> Tensor:
        """Visual tokens of each distinct image of a batch, from the cache if it has them.

        Returns:
            [U, N, D]
        """
        return self.encode(batch.images) if batch.features is None else batch.features
