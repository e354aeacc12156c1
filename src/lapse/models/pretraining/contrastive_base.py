"""The common part of both contrastive methods: encoder, pool, text encoder, sigmoid loss.

Legend: B rows  E width of the common space (that of the encoder)
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor

from lapse.config import GenerationConfig
from lapse.config.pretraining import GlobalContrastiveConfig, RegionalContrastiveConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch, text_keys
from lapse.models.backbones.encoder_model import EncoderModel
from lapse.models.backbones.text_encoder import TextEncoder
from lapse.models.layers.attention_pool import AttentionPool
from lapse.models.layers.padding import answers_of
from lapse.models.layers.sigmoid_loss import SigmoidLoss


class ContrastiveModel(EncoderModel, ABC):
    """Encoder with an attention pool, text encoder, learned temperature and bias."""

    name: str  # as registered
    loss_parts = ("chance", "temperature", "bias")  # logged with the loss

    def __init__(
        self,
        config: GlobalContrastiveConfig | RegionalContrastiveConfig,
        tokenizer: Tokenizer,
    ) -> None:
        sizes = config.encoder
        super().__init__(sizes, tokenizer, is_encoder_trained=True)
        self.config = config
        self.pool = AttentionPool(sizes.width, sizes.heads, sizes.mlp_width)
        self.text = TextEncoder(config.text, sizes.width, tokenizer.kept)
        if config.bias is None:
            raise ValueError("model.bias is null: it is derived when the run is configured")
        self.contrast = SigmoidLoss(
            config.temperature,
            config.bias,
            ignores_identical=config.identical_texts == "ignored",
        )

    @abstractmethod
    def image_vectors(self, batch: Batch) -> Tensor:
        """The image or region of each row in the common space, length one: [B, E]."""

    def text_vectors(self, batch: Batch) -> Tensor:
        """The answer text of each row in the common space, length one: [B, E]."""
        texts = answers_of(batch)
        vectors = self.text(self.text.tokens.rows(texts.tokens), texts.lengths)
        return F.normalize(vectors.float(), dim=-1)

    def weight(self, batch: Batch) -> float:
        """What the mean in "loss" is over: the number of pairs."""
        return float(len(batch))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean sigmoid loss per pair (SigLIP).

        Returns:
            "loss", and detached "loss/chance", "loss/temperature" and "loss/bias" for the log.
        """
        keys = text_keys(batch).to(batch.tokens.device)
        loss = self.contrast(self.image_vectors(batch), self.text_vectors(batch), keys)
        return {"loss": loss, **self.contrast.log_values(len(batch))}

    def answer(self, batch: Batch, generation: GenerationConfig) -> list[str]:
        """Not available: the model has no decoder.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"{self.name} has no decoder and cannot generate {len(batch)} answers of at most "
            f"{generation.max_new_tokens} tokens: use its encoder in stage 2 (init_encoder)"
        )
