"""Convolutions in place of the patch layer: small encoders see lesions sooner.

Early convolutions (Xiao et al., 2021, "Early convolutions help transformers see better"): each
stage halves the side, by a 3 x 3 convolution of stride 2 and one of stride 1, until a pixel is a
visual token. An option for small models; the paper's encoder has the plain patch layer.
"""

from __future__ import annotations

from torch import Tensor, nn

GROUPS = 8


class ConvStem(nn.Module):
    """[U, C, S, S] -> [U, D, S / patch, S / patch].

    Widths double from stage to stage and end at D; group norm, so that an image's tokens do not
    depend on its neighbours in the batch. Weights: normal, deviation (2 / fan-in) ** 0.5.

    Args:
        channels: C.
        width: D, a multiple of 8.
        patch: a power of two from 2; the number of halvings is its logarithm.
    """

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        num_stages = patch.bit_length() - 1
        stages: list[nn.Module] = []
        before = channels
        for stage in range(num_stages):
            after = max(width >> (num_stages - 1 - stage), 2 * GROUPS) // GROUPS * GROUPS
            after = width if stage == num_stages - 1 else after
            for stride, source in ((2, before), (1, after)):
                stages += [
                    nn.Conv2d(source, after, 3, stride, 1, bias=False),
                    nn.GroupNorm(GROUPS, after),
                    nn.GELU(),
                ]
            before = after
        self.stages = nn.Sequential(*stages)
        self.out = nn.Conv2d(before, width, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.out(self.stages(images))
        return out
