"""Convolutions in place of the patch layer, so that small encoders learn lesions sooner.

Early convolutions (Xiao et al., 2021, "Early convolutions help transformers see better"): each
stage halves the image size, by a 3 x 3 convolution of stride 2 and one of stride 1, until a pixel
is a visual token. An option for small models; the paper's encoder has the plain patch layer.

Chest radiographs are very similar. With a norm within one image (group norm), the common part of
all images remains larger than their differences; batch norm scales by the differences between
images, and small encoders learn several times faster with it (experiments/log.md). Its price: while
training, an image's tokens depend on the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

GROUPS = 8
MOMENTUM = 0.02  # weight of a batch in the running mean and variance, which evaluation uses


class ConvStem(nn.Module):
    """[U, C, S, S] -> [U, D, S / patch, S / patch].

    Widths double from stage to stage and end at D. Weights: normal, deviation
    (2 / fan-in) ** 0.5.

    Args:
        channels: C.
        width: D, a multiple of 8.
        patch: a power of two from 2; the number of halvings is its logarithm.
        over_batch: batch norm and ReLU; otherwise group norm and GELU, so that an image's
            tokens never depend on the other images of the batch.
    """

    def __init__(self, channels: int, width: int, patch: int, *, over_batch: bool = False) -> None:
        super().__init__()
        self.over_batch = over_batch
        num_stages = patch.bit_length() - 1
        stages: list[nn.Module] = []
        before = channels
        for stage in range(num_stages):
            after = max(width >> (num_stages - 1 - stage), 2 * GROUPS) // GROUPS * GROUPS
            after = width if stage == num_stages - 1 else after
            for stride, source in ((2, before), (1, after)):
                stages.append(nn.Conv2d(source, after, 3, stride, 1, bias=False))
                if over_batch:
                    stages += [nn.BatchNorm2d(after, momentum=MOMENTUM), nn.ReLU()]
                else:
                    stages += [nn.GroupNorm(GROUPS, after), nn.GELU()]
            before = after
        self.stages = nn.Sequential(*stages)
        self.out = nn.Conv2d(before, width, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        first, *others = self.stages
        features = first(images)
        if self.over_batch:  # faster kernels; the layout of an image with one channel is ambiguous
            features = features.contiguous(memory_format=torch.channels_last)
        for stage in others:
            features = stage(features)
        out: Tensor = self.out(features)
        return out
