"""Stage 2 of the paper (3.4): the tokens of both images precede the question; GPT-2 answers.

Legend: U images  B rows  I images per row  N visual tokens  M visual tokens of a row
        P positions of text  D width of the language model

    reference --+                                                   question | answer
                +-> frozen encoder -> + temporal -> adapter -> [ref; main; text] -> GPT-2
    main -------+   (each image once)  (equation 2)  (3)         (4)        loss on the answer (5)

`config.images` = "none", "main" or "reference" gives the image-blind baselines: the same system
and the same training with fewer images.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config import PrefixLMConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch
from lapse.models.backbones.gpt2 import GPT2, resized_positions
from lapse.models.backbones.gpt2_weights import load_gpt2
from lapse.models.backbones.prefix_decoder import PrefixDecoder, PrefixModel
from lapse.models.layers.adapter import Adapter
from lapse.models.layers.transformer import normal_parameter

SLOTS = {"both": (0, 1), "reference": (0,), "main": (1,), "none": ()}
INTERPOLATED_TEXT = 256  # text positions after the visual ones when one table is interpolated


class PrefixLM(PrefixModel):
    """Answers from two images: frozen encoder, temporal embeddings, adapter and GPT-2.

    Weights: `load_encoder` replaces the encoder; GPT-2's come from
    `config.language_model.weights` or are random (`origin` says which); temporal and visual
    position embeddings normal with deviation 0.02.
    """

    config_class = PrefixLMConfig

    def __init__(self, config: PrefixLMConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, tokenizer, is_encoder_trained=config.train_encoder)
        self.config = config
        self.label_smoothing = config.label_smoothing
        self.grid_size = config.encoder.image_size // config.encoder.patch_size
        if self.grid_size % config.pool:
            raise ValueError(
                f"pool {config.pool} does not divide the {self.grid_size} x {self.grid_size} grid "
                "of visual tokens"
            )
        self.num_visual = (self.grid_size // config.pool) ** 2  # of one image
        language = config.language_model
        temporal = config.encoder.num_tokens if config.temporal == "token" else 1
        self.temporal = nn.Parameter(torch.empty(2, temporal, config.encoder.width))
        self.adapter = Adapter(config.encoder.width, language.width)
        self.language_model = GPT2(language, tokenizer.kept)
        self.visual_positions: nn.Parameter | None = None
        self.num_visual_positions = (3 if config.difference_tokens else 2) * self.num_visual
        if config.visual_positions == "extend":
            self.visual_positions = normal_parameter(self.num_visual_positions, language.width)
        elif config.visual_positions == "learned":
            length = self.num_visual_positions + language.max_positions
            self.visual_positions = normal_parameter(length, language.width)
        nn.init.normal_(self.temporal, std=0.02)
        self.origin = load_gpt2(self.language_model, language.weights)
        if config.visual_positions == "learned":
            self.language_model.positions.requires_grad_(False)

    def prefix_decoder(self, batch: Batch) -> PrefixDecoder:
        """The language model behind the visual tokens of each row.

        With `visual_positions` "extend", the visual tokens have a separate table and the text
        has GPT-2's. With "interpolate" and "learned", one table holds the visual positions, then
        those of the text.
        """
        table = self._position_table()
        visual = self._visual(batch, table)
        if self.config.visual_positions == "extend":
            return PrefixDecoder(self.language_model, visual, self.language_model.positions)
        first = visual.shape[1]
        text_positions = table[first : first + self._num_text_positions]
        return PrefixDecoder(self.language_model, visual, text_positions)

    def _visual(self, batch: Batch, table: Tensor) -> Tensor:
        """The visual tokens of each row with their positions: [B, M, D]."""
        slots = SLOTS[self.config.images]
        num_images = batch.image_index.shape[1]
        if num_images == 1:  # a question about one image is about the main image
            slots = tuple(slot for slot in slots if slot == 1)
        if not slots:
            return table.new_zeros(len(batch), 0, self.config.language_model.width)
        tokens = self.image_tokens(batch)  # [U, N, D_v]
        images = [batch.image_index[:, slot if num_images > 1 else 0] for slot in slots]
        parts = [
            tokens[image] + self.temporal[slot] for image, slot in zip(images, slots, strict=True)
        ]
        if self.config.difference_tokens and len(parts) == 2:
            parts.append(parts[1] - parts[0])
        # A separate table has a fixed range for each slot; a joint table counts what is there.
        start = slots[0] if self.config.visual_positions == "extend" else 0
        visual = torch.cat([self.adapter(self._pooled(part)) for part in parts], dim=1)
        first = start * self.num_visual
        return visual + table[first : first + visual.shape[1]]

    def _pooled(self, tokens: Tensor) -> Tensor:
        """Mean of each pool x pool square of the token grid."""
        if self.config.pool == 1:
            return tokens
        grid = tokens.transpose(1, 2).reshape(len(tokens), -1, self.grid_size, self.grid_size)
        return F.avg_pool2d(grid, self.config.pool).flatten(2).transpose(1, 2)

    def _position_table(self) -> Tensor:
        if self.visual_positions is not None:
            return self.visual_positions
        length = self.num_visual_positions + self._num_text_positions
        return resized_positions(self.language_model.positions, length)

    @property
    def _num_text_positions(self) -> int:
        positions = self.config.language_model.max_positions
        if self.config.visual_positions == "interpolate":
            return min(positions, INTERPOLATED_TEXT)
        return positions
