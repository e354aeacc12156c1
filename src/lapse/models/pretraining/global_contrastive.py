"""Global contrastive pretraining: an image and its report find each other (paper 4.2.1).

Legend: U images  B rows  E width of the common space (that of the encoder)

    image  --encoder--> tokens --attention pool--> [B, E] --+
                                                            +--> sigmoid loss
    report --text encoder--> its end token --------> [B, E] --+

SigLIP (Zhai et al., 2023) on our images and texts. Every text of all ranks is a negative, but only
within a micro-batch: with `train.gradient_accumulation_steps` a step contrasts within each of its
parts. Only the
encoder goes on to stage 2.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lapse.config import GenerationConfig
from lapse.config.pretraining import GlobalContrastiveConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch, normalise, text_keys
from lapse.models.pretraining.contrastive_base import Contrastive


class GlobalContrastive(Contrastive):
    """Encoder with an attention pool, text encoder, learned temperature and bias.

    Args:
        config: sizes of the parts.
        tokenizer: decides which tokens have a row.
    """

    name = "global_contrastive"
    config_class = GlobalContrastiveConfig

    def __init__(self, config: GlobalContrastiveConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.config = config

    def weight(self, batch: Batch) -> float:
        """What the mean loss is over: the number of pairs."""
        return float(len(batch))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean sigmoid loss per image (SigLIP)."""
        # Where two epochs meet in one batch, a few images may stand in it twice.
        if 4 * len(batch.images) < 3 * len(batch):
            raise ValueError(
                f"{len(batch)} texts speak of {len(batch.images)} images: global contrast wants "
                "one report per image (data.tasks=[cap], data.regions_per_image=1)"
            )
        keys = text_keys(batch).to(batch.tokens.device)
        loss = self.contrast(self.image_vectors(batch), self.text_vectors(batch), keys)
        return {"loss": loss, **self.contrast.log_values(len(batch))}

    def image_vectors(self, batch: Batch) -> Tensor:
        """The image of each row in the common space, length one: [B, E]."""
        pixels = normalise(batch.images, self.config.encoder.channels)
        pooled = self.pool(self.encoder(pixels))
        return F.normalize(pooled[batch.image_index[:, 0]].float(), dim=-1)

    def text_vectors(self, batch: Batch) -> Tensor:
        """The answer text of each row in the common space, length one: [B, E]."""
        return self.read(batch.tokens, batch.lengths, batch.prompt_lengths)

    def answer(self, batch: Batch, config: GenerationConfig) -> list[str]:
        """A model without a decoder.

        Raises:
            ValueError: always.
        """
        return self.refuse(len(batch), config.max_new_tokens)
