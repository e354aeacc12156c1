"""What both contrastive methods are made of: encoder, pool, text encoder, sigmoid loss."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lapse.config.pretraining import GlobalContrastiveConfig, RegionalContrastiveConfig
from lapse.core.tokenizer import Tokenizer
from lapse.models.backbones.encoder_model import EncoderModel
from lapse.models.backbones.text_encoder import TextEncoder
from lapse.models.layers.attention_pool import AttentionPool
from lapse.models.layers.padding import answers_of
from lapse.models.layers.sigmoid_loss import SigmoidLoss


class Contrastive(EncoderModel):
    """Encoder with an attention pool, text encoder, learned temperature and bias.

    Args:
        config: sizes of the parts.
        tokenizer: decides which tokens have a row.
    """

    name: str  # as registered
    loss_parts = ("chance", "temperature", "bias")  # logged with the loss

    def __init__(
        self,
        config: GlobalContrastiveConfig | RegionalContrastiveConfig,
        tokenizer: Tokenizer,
    ) -> None:
        sizes = config.encoder
        super().__init__(sizes, is_trained=True)
        self.tokenizer = tokenizer
        self.pool = AttentionPool(sizes.width, sizes.heads, sizes.mlp_width)
        self.text = TextEncoder(config.text, sizes.width, tokenizer.kept)
        if config.bias is None:
            raise ValueError("model.bias is null: it is derived when the run is configured")
        self.contrast = SigmoidLoss(
            config.temperature,
            config.bias,
            ignores_identical=config.identical_texts == "ignored",
        )

    def read(self, tokens: Tensor, lengths: Tensor, prompt_lengths: Tensor) -> Tensor:
        """The answer text of each row in the common space, length one: [B, E]."""
        texts = answers_of(tokens, lengths, prompt_lengths)
        found = self.text(self.text.tokens.rows(texts.tokens), texts.lengths)
        return F.normalize(found.float(), dim=-1)

    def refuse(self, num_answers: int, max_tokens: int) -> list[str]:
        """A model without a decoder.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"{self.name} writes no text ({num_answers} answers of at most {max_tokens} tokens "
            "were asked): use its encoder in stage 2 (init_encoder)"
        )
