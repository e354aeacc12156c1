"""Stage 1 of the paper (3.1, 3.2): an encoder learns by generating text from its image.

Legend: U images  B rows

    images [U] --encoder (once per image)--> adapter --> cross-attention of every row of text

The paper's method and CapPa are this class with different presets: the tasks, and the fraction of
captions that is predicted in parallel (Tschannen et al., 2023; Wan et al., 2024).
"""

from __future__ import annotations

from torch import Tensor

from lapse.config import CaptionerConfig, GenerationConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch
from lapse.models.backbones.cross_attention_decoder import CrossAttentionDecoder
from lapse.models.backbones.decoder import TextDecoder
from lapse.models.backbones.generative_model import GenerativeModel
from lapse.models.layers.adapter import Adapter
from lapse.models.layers.beam_search import Hypothesis
from lapse.models.layers.padding import PaddedTokens, prompts_of
from lapse.models.layers.token_losses import TokenLosses


class Captioner(GenerativeModel):
    """Encoder, two-layer adapter and decoder, trained together from random weights."""

    config_class = CaptionerConfig

    def __init__(self, config: CaptionerConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, tokenizer, is_encoder_trained=True)
        self.config = config
        self.adapter = Adapter(config.encoder.width, config.decoder.width, config.adapter_width)
        self.decoder = TextDecoder(config.decoder, tokenizer.kept)

    def target_mask(self, batch: Batch) -> Tensor:
        """The answers and, with `data.loss_on_given`, what follows the prefix: [B, T] bool."""
        return batch.loss_mask

    def token_losses(self, batch: Batch) -> TokenLosses:
        """The loss of every target token (equation 1)."""
        text = PaddedTokens(batch.tokens, batch.lengths)
        decoder = self.cross_attention_decoder(batch)
        return decoder.losses(
            text, self.target_mask(batch), batch.parallel, 0.0, form=batch.parallel_form
        )

    def hypotheses(self, batch: Batch, generation: GenerationConfig) -> list[list[Hypothesis]]:
        """The texts that beam search finished; each image and each prompt is read once."""
        decoder = self.cross_attention_decoder(batch)
        return decoder.hypotheses(prompts_of(batch), generation, self.tokenizer.end)

    def cross_attention_decoder(self, batch: Batch) -> CrossAttentionDecoder:
        """The decoder, attending to the image of each row.

        Raises:
            ValueError: rows of several images.
        """
        if batch.image_index.shape[1] != 1:
            raise ValueError(
                f"the captioner reads one image per text, got {batch.image_index.shape[1]}: "
                "pretrain on cap, aref, gcap or caref"
            )
        visual = self.adapter(self.image_tokens(batch))
        return CrossAttentionDecoder(
            self.decoder, self.decoder.memory(visual, batch.image_index[:, 0])
        )
