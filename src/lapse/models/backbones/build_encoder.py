"""The encoder that a configuration describes: ours (SigLIP), or a model of transformers."""

from __future__ import annotations

from torch import nn

from lapse.config import EncoderConfig
from lapse.models.backbones.hf_encoder import HFEncoder
from lapse.models.backbones.vision_encoder import VisionEncoder


def build_encoder(config: EncoderConfig) -> nn.Module:
    """[U, C, S, S] in [-1, 1] -> [U, N, D], with random weights."""
    return VisionEncoder(config) if config.hf_config is None else HFEncoder(config)
