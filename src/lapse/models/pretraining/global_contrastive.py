"""Global contrastive pretraining: match an image with its report (paper 4.2.1).

Legend: B rows  E width of the common space (that of the encoder)

    image  --encoder--> tokens --attention pool--> [B, E] --+
                                                            +--> sigmoid loss
    report --text encoder--> its end token --------> [B, E] --+

SigLIP (Zhai et al., 2023) on our images and texts. Every text of all ranks is a negative, but only
within a micro-batch: with `train.gradient_accumulation_steps`, each part of a step is contrasted
separately. Stage 2 uses the encoder only.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lapse.config.pretraining import GlobalContrastiveConfig
from lapse.data.loading.batch import Batch
from lapse.models.layers.padding import check_one_report
from lapse.models.pretraining.contrastive_base import ContrastiveModel


class GlobalContrastive(ContrastiveModel):
    """Image against report; see the base class."""

    name = "global_contrastive"
    config_class = GlobalContrastiveConfig

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """As the base class, for batches with one report per image.

        Raises:
            ValueError: several texts describe one image.
        """
        check_one_report(batch, "global contrast")
        return super().loss(batch)

    def image_vectors(self, batch: Batch) -> Tensor:
        """The image of each row in the common space, length one: [B, E]."""
        pooled = self.pool(self.image_tokens(batch))
        return F.normalize(pooled[batch.image_index[:, 0]].float(), dim=-1)
