"""RG-AG's writer: anatomical tokens of current and prior image, joined, before a language model.

Legend: B rows  R regions  H width of a region's vector  D width of the language model

    [current; prior] of each region [2 H] --linear, GELU, linear--> [R, D] | prompt text --> GPT-2
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lapse.config import LanguageModelConfig
from lapse.core.tokenizer import Tokenizer
from lapse.models.backbones.gpt2 import GPT2
from lapse.models.backbones.prefix_decoder import PrefixDecoder
from lapse.models.layers.adapter import Adapter
from lapse.models.layers.transformer import normal_parameter


class AnatomyWriter(nn.Module):
    """Writes a text from the regions of one or two images.

    Weights: the adapter has PyTorch's default; GPT-2's as in its publication; positions normal
    with deviation 0.02.
    """

    def __init__(
        self, region_width: int, num_regions: int, language: LanguageModelConfig, tokens: Tokenizer
    ) -> None:
        super().__init__()
        self.fuse = Adapter(2 * region_width, language.width)
        self.language_model = GPT2(language, tokens.kept)
        self.visual_positions = normal_parameter(num_regions, language.width)

    def decoder(self, current: Tensor, prior: Tensor | None) -> PrefixDecoder:
        """The language model behind the joint tokens of each row.

        Args:
            current: [B, R, H].
            prior: [B, R, H], or None for images without a past, whose vectors are zero.
        """
        prior = torch.zeros_like(current) if prior is None else prior
        joint = self.fuse(torch.cat([current, prior], dim=-1)) + self.visual_positions
        return PrefixDecoder(self.language_model, joint, self.language_model.positions)
