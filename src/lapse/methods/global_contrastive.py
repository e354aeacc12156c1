"""Global contrastive pretraining: an image and its report find each other (paper 4.2.1).

Legend: U images  B rows  E width of the common space (that of the encoder)

    image  --encoder--> tokens --attention pool--> [B, E] --+
                                                            +--> sigmoid loss
    report --text encoder--> its end token --------> [B, E] --+

SigLIP (Zhai et al., 2023) on our images and texts. Every text of all ranks is a negative, but only
within a micro-batch: with `loop.accumulate` a step contrasts within each of its parts. Only the
encoder goes on to stage 2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.batch import Batch, normalise, text_keys
from lapse.config import DecodeConfig
from lapse.models.any_encoder import build_encoder
from lapse.models.method_options import GlobalContrastiveConfig
from lapse.models.pooling import AttentionPool
from lapse.models.sigmoid_loss import SigmoidLoss
from lapse.models.text_encoder import TextEncoder
from lapse.models.texts import answers_of
from lapse.text import Tokenizer


class GlobalContrastive(nn.Module):
    """Encoder with an attention pool, text encoder, learned temperature and bias.

    Args:
        config: sizes of the parts.
        tokenizer: decides which tokens have a row.
    """

    config_class = GlobalContrastiveConfig

    def __init__(self, config: GlobalContrastiveConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.config = config
        sizes = config.encoder
        self.encoder = build_encoder(sizes)
        self.pool = AttentionPool(sizes.width, sizes.heads, sizes.mlp_width)
        self.text = TextEncoder(config.text, sizes.width, tokenizer.kept)
        self.contrast = SigmoidLoss(
            config.temperature,
            config.bias,
            ignores_identical=config.identical_texts == "ignored",
        )

    def weight(self, batch: Batch) -> float:
        """What the mean loss is over: the number of pairs."""
        return float(len(batch))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean sigmoid loss per image (SigLIP, equation 1)."""
        if len(batch.images) != len(batch):
            raise ValueError(
                f"{len(batch)} texts speak of {len(batch.images)} images: global contrast wants "
                "one report per image (data.tasks=[cap], data.regions_per_image=1)"
            )
        keys = text_keys(batch).to(batch.tokens.device)
        return {"loss": self.contrast(self.image_vectors(batch), self.text_vectors(batch), keys)}

    def image_vectors(self, batch: Batch) -> Tensor:
        """The image of each row in the common space, length one: [B, E]."""
        pixels = normalise(batch.images, self.config.encoder.channels)
        pooled = self.pool(self.encoder(pixels))
        return F.normalize(pooled[batch.image_index[:, 0]].float(), dim=-1)

    def text_vectors(self, batch: Batch) -> Tensor:
        """The answer text of each row in the common space, length one: [B, E]."""
        texts = answers_of(batch.tokens, batch.lengths, batch.prompt_lengths)
        found = self.text(self.text.tokens.rows(texts.tokens), texts.lengths)
        return F.normalize(found.float(), dim=-1)

    @torch.no_grad()
    def answer(self, batch: Batch, config: DecodeConfig) -> list[str]:
        """A model without a decoder.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"global_contrastive writes no text ({len(batch)} answers of at most "
            f"{config.max_tokens} tokens were asked): use its encoder in stage 2 (init_encoder)"
        )
