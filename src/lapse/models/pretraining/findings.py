"""A finding head on a frozen encoder: trained before the graphs of EKAID and RG-AG's generators.

Legend: U images  R regions  D_v width of the encoder  C classes of findings

    image --frozen encoder--> tokens --RoIAlign in each box--> [R, D_v] --finding head--> [R, C]
    loss: binary cross-entropy of every class in every region that has a box

A region that no sentence describes counts as free of findings. `init_encoder` of the next run
names this run and takes both parts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import compress

import torch
import torch.nn.functional as F
from torch import Tensor

from lapse.config import GenerationConfig
from lapse.config.pretraining import FindingsConfig
from lapse.core.annotation_names import REGION_SETS
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch
from lapse.data.tasks.region_findings import findings_text
from lapse.models.backbones.encoder_model import EncoderModel
from lapse.models.layers.finding_classes import CLASS_SETS, class_numbers
from lapse.models.layers.finding_head import FindingHead
from lapse.models.layers.region_features import Regions, region_features, regions_of

logger = logging.getLogger(__name__)
NAMES = REGION_SETS["36"]
THRESHOLD = 0.5


class Findings(EncoderModel):
    """Classifies the findings of every region.

    Args:
        config: sizes and the set of classes.
        tokenizer: not read; answers are texts.
    """

    config_class = FindingsConfig

    def __init__(self, config: FindingsConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, tokenizer, is_encoder_trained=config.train_encoder)
        self.classes = CLASS_SETS[config.finding_head.classes]
        self.numbers = class_numbers(self.classes)
        self.finding_head = FindingHead.of(config.encoder.width, config.finding_head)
        self._unknown: set[str] = set()

    def weight(self, batch: Batch) -> float:
        """What the mean in "loss" is over: the regions with a box."""
        return float(sum(len(boxes) for sample in batch.samples for boxes in sample.boxes))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean binary cross-entropy over regions and classes: "loss".

        Raises:
            ValueError: the samples carry no boxes, or no findings.
        """
        regions, logits = self._logits(batch)
        labels = self._labels(batch).to(logits.device)
        if self.training and torch.is_grad_enabled():
            self.finding_head.count(labels.any(1))
        losses = F.binary_cross_entropy_with_logits(
            logits.float(), labels.float(), reduction="none"
        )
        return {"loss": losses.mean(-1)[regions.is_present].mean()}

    @torch.no_grad()
    def answer(self, batch: Batch, generation: GenerationConfig) -> list[str]:
        """The findings above a probability of one half, by region; `generation` is not read."""
        del generation  # the answer is not generated token by token
        regions, logits = self._logits(batch)
        shown = (logits.sigmoid() > THRESHOLD) & regions.is_present[..., None]
        texts = []
        for image in batch.image_index[:, 0].tolist():
            rows = zip(NAMES, shown[image].tolist(), strict=True)
            findings = tuple((region, tuple(compress(self.classes, row))) for region, row in rows)
            texts.append(findings_text(findings))
        return texts

    def _logits(self, batch: Batch) -> tuple[Regions, Tensor]:
        """The regions of each distinct image, and the logits [U, R, C]."""
        regions = regions_of(batch, NAMES)
        features = region_features(self.image_tokens(batch), regions)
        return regions, self.finding_head(features)

    def _labels(self, batch: Batch) -> Tensor:
        """The classes of each region of each distinct image: [U, R, C] bool, on the CPU."""
        labels = torch.zeros(len(batch.images), len(NAMES), len(self.classes), dtype=torch.bool)
        for sample, images in zip(batch.samples, batch.image_index.tolist(), strict=True):
            if not sample.findings:
                raise ValueError(
                    f"sample {sample.id} carries no findings: train with "
                    "data.tasks=[region_findings] on a store of this version"
                )
            for image, findings in zip(images, sample.findings, strict=True):
                for region, names in findings:
                    if region in NAMES:
                        labels[image, NAMES.index(region), self._classes_of(names)] = True
        return labels

    def _classes_of(self, names: Sequence[str]) -> list[int]:
        """The classes of names of the scene graph; each name without a class is logged once."""
        for name in names:
            if name not in self.numbers and name not in self._unknown:
                self._unknown.add(name)
                logger.warning("the finding %r has no class and is not trained", name)
        return [number for name in names for number in self.numbers.get(name, ())]
