"""SigLIP vision transformer (Zhai et al., 2023; paper 4.1), trained from scratch here.

Legend: U images  C channels  S image size  N visual tokens  D width

    image --patches--> + positions --blocks (pre-norm)--> final norm --> tokens [U, N, D]

Equal to `SiglipVisionModel(...).last_hidden_state` of transformers with the same weights
(tested); `lapse.models.backbones.siglip_format` reads and writes that format.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lapse.config import EncoderConfig
from lapse.models.layers.conv_stem import ConvStem
from lapse.models.layers.transformer import EPSILON, PreNormBlock, init_linear, run_block


class VisionEncoder(nn.Module):
    """One image -> its visual tokens.

    Weights: linear layers normal with deviation width ** -0.5, the patch layer likewise by its
    fan-in, positions normal with deviation width ** -0.5, norms one and zero.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.patches = _stem(config)
        self.positions = nn.Parameter(torch.empty(config.num_tokens, config.width))
        self.blocks = nn.ModuleList(
            PreNormBlock(config.width, config.heads, config.mlp_width) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        init_linear(self, config.width**-0.5)
        if isinstance(self.patches, nn.Conv2d):
            fan_in = config.channels * config.patch_size**2
            nn.init.normal_(self.patches.weight, std=fan_in**-0.5)
        nn.init.normal_(self.positions, std=config.width**-0.5)
        if isinstance(self.patches, nn.Conv2d) and self.patches.bias is not None:
            nn.init.zeros_(self.patches.bias)

    def forward(self, images: Tensor) -> Tensor:
        """[U, C, S, S] in [-1, 1] -> [U, N, D].

        Raises:
            ValueError: the images have another size or number of channels than the config.
        """
        expected = (self.config.channels, self.config.image_size, self.config.image_size)
        if tuple(images.shape[1:]) != expected:
            raise ValueError(
                f"images are {tuple(images.shape[1:])}, the encoder expects {expected}: prepare "
                "the store at the encoder's image_size"
            )
        x = self.patches(images).flatten(2).transpose(1, 2) + self.positions  # [U, N, D]
        for block in self.blocks:
            x = run_block(block, x, is_saving=self.config.activation_checkpointing)
        out: Tensor = self.norm(x)
        return out


def _stem(config: EncoderConfig) -> nn.Module:
    """The layers that turn patches of pixels into tokens."""
    sizes = (config.channels, config.width, config.patch_size)
    if config.stem != "patch":
        return ConvStem(*sizes, over_batch=config.stem == "conv_batch")
    return nn.Conv2d(*sizes, stride=config.patch_size)
