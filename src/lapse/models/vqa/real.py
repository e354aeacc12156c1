"""ReAL (Lu et al., MICCAI 2024): what is left when the images are subtracted has its own branch.

Legend: B rows  U images  N visual tokens  D_v, D widths of encoder and language model

    reference --+--> encoder --> tokens [N, D_v] --adapter--.
    main -------+                  | main - reference        >-- [ref; main; residual; question]
        |                          | aligned with            |        --> GPT-2 --> answer
        '-- registered residual --> own encoder --adapter ---'

    loss = answer + a * mean(1 - cos) of each token + b * (1 - cos) of the image's mean
           (residual feature against main - reference feature)

The residual branch and the alignment of its features with the difference of the two images'
features are the publication's two ideas. Its abstract (a residual input branch, a
"Residual Feature Alignment" module) and our paper's sections 2.3 and 4.3 are what we build from;
registration and the form of the losses are our choice (docs/explanation/deviations.md).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.config.vqa import RealConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch, normalise
from lapse.models.backbones.encoder_model import EncoderModel
from lapse.models.backbones.gpt2_weights import load_gpt2
from lapse.models.backbones.prefix_decoder import PrefixDecoder
from lapse.models.backbones.vision_encoder import VisionEncoder
from lapse.models.layers.adapter import Adapter
from lapse.models.layers.padding import Rows, questions_of
from lapse.models.layers.registration import residual


class ReAL(EncoderModel):
    """Two images, their residual, and a language model behind all three.

    Weights: the encoder is handed over; the residual branch takes the same weights where it has
    the same sizes, else it is random; temporal embeddings normal with deviation 0.02.

    Args:
        config: sizes and choices.
        tokenizer: of the run.
    """

    config_class = RealConfig

    def __init__(self, config: RealConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, is_trained=config.train_encoder)
        self.config = config
        self.tokenizer = tokenizer
        width, text_width = config.encoder.width, config.language_model.width
        self.residual_encoder = VisionEncoder(config.residual)
        self.temporal = nn.Parameter(torch.empty(2, config.encoder.num_tokens, width))
        nn.init.normal_(self.temporal, std=0.02)
        self.adapter = Adapter(width, text_width)
        self.residual_adapter = Adapter(config.residual.width, text_width)
        self.align = nn.Linear(config.residual.width, width)
        num_visual = 3 * config.encoder.num_tokens
        self.writer = PrefixDecoder(config.language_model, tokenizer.kept, num_visual)
        self.origin = load_gpt2(self.writer.language_model, config.language_model.weights)

    def load_encoder(self, state: Mapping[str, Tensor]) -> None:
        """Take stage 1's encoder, for the residual branch too where the sizes agree."""
        super().load_encoder(state)
        if self.config.residual == self.config.encoder:
            self.residual_encoder.load_state_dict(dict(state))

    def weight(self, batch: Batch) -> float:
        """What the mean loss is over: the number of answer tokens."""
        return float(_targets(batch).sum())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Answer loss and both alignment losses; "align_tokens" and "align_image" are detached."""
        features, left = self._features(batch)
        text = Rows(batch.tokens, batch.lengths)
        visual = self._visual(features, left)
        losses = self.writer.losses(visual, text, _targets(batch), self.config.label_smoothing)
        found = losses.named([sample.task for sample in batch.samples])
        tokens, image = alignment(self.align(left), features[:, 1] - features[:, 0])
        found["loss"] = (
            losses.loss + self.config.align_tokens * tokens + self.config.align_image * image
        )
        return {**found, "align_tokens": tokens.detach(), "align_image": image.detach()}

    def answer(self, batch: Batch, config: GenerationConfig) -> list[str]:
        """Answer each row's question by beam search."""
        visual = self._visual(*self._features(batch))
        prompts = questions_of(batch.tokens, batch.prompt_lengths)
        written = self.writer.write(visual, prompts, config, self.tokenizer.end)
        return [self.tokenizer.decode(ids) for ids in written]

    def _features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Tokens of both images [B, 2, N, D_v] and of the residual [B, N, D_r].

        Raises:
            ValueError: a row without two images.
        """
        if batch.image_index.shape[1] != 2:
            raise ValueError(
                f"ReAL subtracts two images, got {batch.image_index.shape[1]} per question"
            )
        grey = normalise(batch.images, 1)[:, 0]  # [U, S, S]
        features = self.encode(normalise(batch.images, self.config.encoder.channels))
        reference, main = (grey[batch.image_index[:, column]] for column in (0, 1))
        with torch.no_grad():
            rest = residual(reference, main, self.config.registration, self.config.max_shift)
        rest = rest[:, None].expand(-1, self.config.residual.channels, -1, -1)
        return features[batch.image_index], self.residual_encoder(rest)

    def _visual(self, features: Tensor, left: Tensor) -> Tensor:
        both = self.adapter(features + self.temporal).flatten(1, 2)  # [B, 2 N, D]
        return torch.cat([both, self.residual_adapter(left)], dim=1)


def alignment(left: Tensor, difference: Tensor) -> tuple[Tensor, Tensor]:
    """One minus the cosine, per token and of the mean over an image; 0 is aligned, 2 opposite.

    Args:
        left: [B, N, D], from the residual branch.
        difference: [B, N, D], main minus reference; no gradient flows into it.

    Returns:
        two scalars: mean over tokens, mean over images.
    """
    aim = difference.detach()
    tokens = 1 - F.cosine_similarity(left, aim, dim=-1).mean()
    image = 1 - F.cosine_similarity(left.mean(1), aim.mean(1), dim=-1).mean()
    return tokens, image


def _targets(batch: Batch) -> Tensor:
    index = torch.arange(batch.tokens.shape[1], device=batch.tokens.device)
    return batch.loss_mask & (index >= batch.prompt_lengths[:, None])
