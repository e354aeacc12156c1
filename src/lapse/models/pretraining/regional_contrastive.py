"""Regional contrastive pretraining: match a region with its phrase (paper 4.2.1).

Legend: B rows  P bins along an axis  E width of the common space (that of the encoder)

    image  --encoder--> grid of tokens --RoIAlign on the box--> [B, P * P, E]
                                              --attention pool--> [B, E] --+
                                                                           +--> sigmoid loss
    phrases of the region --text encoder--> its end token ------> [B, E] --+

Rows are GCAP samples: their answer is what the report says about a box. Regions of many images
have the same description ("There is no edema."); such a pair is not a negative and is left out.
The image is encoded once for all of its regions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lapse.config.pretraining import RegionalContrastiveConfig
from lapse.data.loading.batch import Batch
from lapse.models.layers.roi_align import roi_align
from lapse.models.pretraining.contrastive_base import ContrastiveModel


class RegionalContrastive(ContrastiveModel):
    """Region against phrase, with RoIAlign before the pool; see the base class."""

    name = "regional_contrastive"
    config_class = RegionalContrastiveConfig
    config: RegionalContrastiveConfig

    def image_vectors(self, batch: Batch) -> Tensor:
        """The region of each row in the common space, length one: [B, E].

        Raises:
            ValueError: a row has no box.
        """
        missing = [sample.id for sample in batch.samples if sample.box is None]
        if missing:
            raise ValueError(
                f"{len(missing)} rows have no box, the first is {missing[0]}: regional contrast "
                "reads regions (data.tasks=[gcap])"
            )
        corners = [
            (box.x_min, box.y_min, box.x_max, box.y_max)
            for sample in batch.samples
            if (box := sample.box) is not None
        ]
        tokens = self.image_tokens(batch)
        boxes, image_of = torch.tensor(corners, device=tokens.device), batch.image_index[:, 0]
        bins, samples = self.config.roi_side, self.config.roi_samples
        regions = roi_align(tokens, boxes, image_of, bins=bins, samples=samples)
        return F.normalize(self.pool(regions).float(), dim=-1)
