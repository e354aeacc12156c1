"""After ReAL's abstract (Lu et al., MICCAI 2024): a branch reads the difference of the two images.

Legend: B rows  U images  N visual tokens  D_v, D widths of encoder and language model

    reference --+--> encoder --> tokens [N, D_v] --adapter--.
    main -------+                  | main - reference        >-- [ref; main; residual; question]
        |                          | aligned with            |        --> GPT-2 --> answer
        '-- registered residual --> its encoder --adapter ---'

    loss = answer + a * alignment of each token + b * alignment of the image's mean
           (residual feature against main - reference feature: cosine, squared or contrast)

The residual branch and the alignment of its features with the difference of the two images'
features are the publication's two ideas. This implementation follows its abstract (a residual
input branch, a "Residual Feature Alignment" module) and our paper's sections 2.3 and 4.3;
registration and the form of the losses are our choice (docs/explanation/deviations.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config.vqa import RealConfig
from lapse.core.extras import check_extra
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch, normalise
from lapse.models.backbones.gpt2 import GPT2
from lapse.models.backbones.gpt2_weights import load_gpt2
from lapse.models.backbones.prefix_decoder import PrefixDecoder, PrefixModel
from lapse.models.backbones.vision_encoder import VisionEncoder
from lapse.models.layers.adapter import Adapter
from lapse.models.layers.registration import residual
from lapse.models.layers.transformer import normal_parameter

CONTRAST_TEMPERATURE = 0.07


class ReAL(PrefixModel):
    """Answers from two images and their residual.

    Cached features replace the tokens of both images; the residual is computed from the pixels in
    every step.

    Weights: `load_encoder` replaces the encoder, and the residual branch where it has the same
    sizes; temporal embeddings and visual positions normal with deviation 0.02.
    """

    config_class = RealConfig

    def __init__(self, config: RealConfig, tokenizer: Tokenizer) -> None:
        if config.registration == "flow":
            check_extra("registration", ["skimage"], "model.registration=flow")
        super().__init__(config.encoder, tokenizer, is_encoder_trained=config.train_encoder)
        self.config = config
        self.label_smoothing = config.label_smoothing
        width, language = config.encoder.width, config.language_model
        self.residual_encoder = VisionEncoder(config.residual)
        self.temporal = normal_parameter(2, config.encoder.num_tokens, width)
        self.adapter = Adapter(width, language.width)
        self.residual_adapter = Adapter(config.residual.width, language.width)
        self.alignment = ALIGNMENTS[config.align]
        self.stops_difference = config.align_stop == "difference"
        self.is_absolute = config.residual_sign == "absolute"
        self.align = nn.Linear(config.residual.width, width)
        self.language_model = GPT2(language, tokenizer.kept)
        self.visual_positions = normal_parameter(3 * config.encoder.num_tokens, language.width)
        self.origin = load_gpt2(self.language_model, language.weights)

    def load_encoder(self, state: Mapping[str, Tensor]) -> None:
        """Load stage 1's encoder, into the residual branch too where the sizes agree."""
        super().load_encoder(state)
        if self.config.residual == self.config.encoder:
            self.residual_encoder.load_state_dict(dict(state))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Answer loss and both alignment losses; "align_tokens" and "align_image" are detached."""
        tokens, residual_tokens = self.features(batch)
        decoder = self._decoder(tokens, residual_tokens)
        losses = self.text_losses(batch, decoder).by_task(batch.samples)
        difference = tokens[:, 1] - tokens[:, 0]
        target = difference.detach() if self.stops_difference else difference
        per_token, per_image = self.alignment(self.align(residual_tokens), target)
        losses["loss"] = (
            losses["loss"]
            + self.config.align_tokens * per_token
            + self.config.align_image * per_image
        )
        return {**losses, "align_tokens": per_token.detach(), "align_image": per_image.detach()}

    def features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Tokens of both images [B, 2, N, D_v] and of the residual [B, N, D_r].

        Raises:
            ValueError: a row without two images.
        """
        self.check_pairs(batch)
        grey = normalise(batch.images, 1)[:, 0]  # [U, S, S]
        tokens = self.image_tokens(batch)
        reference, main = (grey[batch.image_index[:, column]] for column in (0, 1))
        with torch.no_grad():
            pixels = residual(reference, main, self.config.registration, self.config.max_shift)
            pixels = pixels.abs() if self.is_absolute else pixels
        pixels = pixels[:, None].expand(-1, self.config.residual.channels, -1, -1)
        return tokens[batch.image_index], self.residual_encoder(pixels)

    def prefix_decoder(self, batch: Batch) -> PrefixDecoder:
        """The language model behind both images of each row and their residual."""
        return self._decoder(*self.features(batch))

    def _decoder(self, tokens: Tensor, residual_tokens: Tensor) -> PrefixDecoder:
        both = self.adapter(tokens + self.temporal).flatten(1, 2)  # [B, 2 N, D]
        visual = torch.cat([both, self.residual_adapter(residual_tokens)], dim=1)
        visual = visual + self.visual_positions
        return PrefixDecoder(self.language_model, visual, self.language_model.positions)


def cosine_alignment(residual_tokens: Tensor, difference: Tensor) -> tuple[Tensor, Tensor]:
    """One minus the cosine, per token and of the mean over an image; 0 is aligned, 2 opposite.

    Args:
        residual_tokens: [B, N, D], from the residual branch.
        difference: [B, N, D], main minus reference.

    Returns:
        two scalars: mean over tokens, mean over images.
    """
    per_token = 1 - F.cosine_similarity(residual_tokens, difference, dim=-1).mean()
    means = residual_tokens.mean(1), difference.mean(1)
    return per_token, 1 - F.cosine_similarity(*means, dim=-1).mean()


def squared_alignment(residual_tokens: Tensor, difference: Tensor) -> tuple[Tensor, Tensor]:
    """The mean squared distance, per token and of the mean over an image; as `cosine_alignment`."""
    per_token = F.mse_loss(residual_tokens, difference)
    return per_token, F.mse_loss(residual_tokens.mean(1), difference.mean(1))


def contrastive_alignment(residual_tokens: Tensor, difference: Tensor) -> tuple[Tensor, Tensor]:
    """Residual feature i against difference feature j over the batch; as `cosine_alignment`.

    Tokens are contrasted with those at their place in the other images.
    """
    per_token = _contrast(residual_tokens.transpose(0, 1), difference.transpose(0, 1))
    per_image = _contrast(residual_tokens.mean(1)[None], difference.mean(1)[None])
    return per_token, per_image


def _contrast(one: Tensor, two: Tensor) -> Tensor:
    """Cross-entropy of row i of `one` against row i of `two`: [G, B, D] each."""
    cosines = F.normalize(one, dim=-1) @ F.normalize(two, dim=-1).transpose(1, 2)  # [G, B, B]
    targets = torch.arange(cosines.shape[1], device=cosines.device).repeat(len(cosines))
    return F.cross_entropy(cosines.flatten(0, 1) / CONTRAST_TEMPERATURE, targets)


ALIGNMENTS: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "cosine": cosine_alignment,
    "mse": squared_alignment,
    "contrast": contrastive_alignment,
}
