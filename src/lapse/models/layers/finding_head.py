"""A classifier of the findings in a region: the replacement of a finding detector.

Legend: R regions  D width of the encoder  H hidden width  C classes of findings

    feature of a region [D] --linear, ReLU--> [H] --linear, ReLU--> feature [H] --linear--> [C]

EKAID and RG-AG read the second fully connected layer of a Faster R-CNN (1,024 wide). Their
detectors are not available; this head is trained on the scene graph's findings of training images,
over the features of our encoder inside each box.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config.pretraining import FindingHeadConfig
from lapse.models.layers.finding_classes import CLASS_SETS
from lapse.models.layers.region_features import Regions, region_features


class FindingHead(nn.Module):
    """Features and logits of findings, and how often findings occur together.

    Weights: PyTorch's linear default.

    Args:
        width: D.
        hidden: H.
        num_classes: C.

    Attributes:
        counts: [C, C], the number of training images with both findings; the diagonal counts one.
    """

    counts: Tensor

    def __init__(self, width: int, hidden: int, num_classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, num_classes)
        self.register_buffer("counts", torch.zeros(num_classes, num_classes))

    @classmethod
    def of(cls, width: int, config: FindingHeadConfig) -> FindingHead:
        """The head of a configuration, for an encoder of width D."""
        return cls(width, config.hidden, len(CLASS_SETS[config.classes]))

    def features(self, regions: Tensor) -> Tensor:
        """[..., D] -> [..., H]."""
        return F.relu(self.second(F.relu(self.first(regions))))

    def forward(self, regions: Tensor) -> Tensor:
        """[..., D] -> logits [..., C]."""
        logits: Tensor = self.out(self.features(regions))
        return logits

    @torch.no_grad()
    def count(self, labels: Tensor) -> None:
        """Add the findings of images: labels [U, C], 0 or 1."""
        labels = labels.to(self.counts.dtype)
        self.counts += labels.t() @ labels


def region_vectors(head: FindingHead, tokens: Tensor, regions: Regions) -> Tensor:
    """The head's features of the regions of each image, zero where a region is missing.

    Args:
        head: frozen.
        tokens: [U, N, D], of the encoder.
        regions: R regions of each image.

    Returns:
        [U, R, H]
    """
    vectors = head.features(region_features(tokens, regions))
    return vectors * regions.is_present[..., None]
