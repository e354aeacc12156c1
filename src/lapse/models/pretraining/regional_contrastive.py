"""Regional contrastive pretraining: a region and its phrase find each other (paper 4.2.1).

Legend: U images  B rows  N visual tokens  P bins along a side  E width of the common space

    image  --encoder--> grid of tokens --RoIAlign on the box--> [B, P * P, E]
                                              --attention pool--> [B, E] --+
                                                                           +--> sigmoid loss
    phrases of the region --text encoder--> its end token ------> [B, E] --+

Rows are GCAP samples: their answer is what the report says of a box. Many regions of many images
are described by the same words ("There is no edema."); such a pair is no negative, it is left
out. The image is encoded once for all of its regions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lapse.config import GenerationConfig
from lapse.config.pretraining import RegionalContrastiveConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch, normalise, text_keys
from lapse.models.layers.roi_align import roi_align
from lapse.models.pretraining.contrastive_base import Contrastive


class RegionalContrastive(Contrastive):
    """Encoder, RoIAlign with an attention pool, text encoder, learned temperature and bias.

    Args:
        config: sizes of the parts.
        tokenizer: decides which tokens have a row.
    """

    name = "regional_contrastive"
    config_class = RegionalContrastiveConfig

    def __init__(self, config: RegionalContrastiveConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.config = config
        self.side = config.encoder.image_size // config.encoder.patch_size

    def weight(self, batch: Batch) -> float:
        """What the mean loss is over: the number of regions."""
        return float(len(batch))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean sigmoid loss per region."""
        keys = text_keys(batch).to(batch.tokens.device)
        loss = self.contrast(self.image_vectors(batch), self.text_vectors(batch), keys)
        return {"loss": loss, **self.contrast.log_values(len(batch))}

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
        tokens = self.encoder(normalise(batch.images, self.config.encoder.channels))
        regions = roi_align(
            tokens,
            torch.tensor(corners, device=tokens.device),
            batch.image_index[:, 0],
            self.side,
            bins=self.config.roi_side,
            samples=self.config.roi_samples,
        )
        return F.normalize(self.pool(regions).float(), dim=-1)

    def text_vectors(self, batch: Batch) -> Tensor:
        """The answer text of each row in the common space, length one: [B, E]."""
        return self.read(batch.tokens, batch.lengths, batch.prompt_lengths)

    def answer(self, batch: Batch, config: GenerationConfig) -> list[str]:
        """A model without a decoder.

        Raises:
            ValueError: always.
        """
        return self.refuse(len(batch), config.max_new_tokens)
