"""BLIP-2, second stage (Li et al., 2023b): a language model learns to read the queries.

Legend: U images  B rows  Q queries  D_t width of the language model

    image --encoder--> tokens --Q-Former--> Q vectors --linear--> [Q, D_t] | prompt answer --> GPT-2

The Q-Former begins with the first stage's weights (`init_model`: a run of `blip2`) and without
its text side. Encoder and language model are frozen as published, or trained, each by a switch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.config.pretraining import Blip2WriterConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch, normalise
from lapse.models.backbones.encoder_model import EncoderModel
from lapse.models.backbones.gpt2_weights import load_gpt2
from lapse.models.backbones.prefix_decoder import PrefixDecoder
from lapse.models.backbones.qformer import QFormer
from lapse.models.layers.padding import Rows, questions_of


class Blip2Writer(EncoderModel):
    """Encoder, queries, one linear layer and GPT-2.

    Args:
        config: sizes and choices.
        tokenizer: decides which tokens have a row; writes the answers.
    """

    config_class = Blip2WriterConfig
    # What another method's run hands over through `init_model`: its name, and which tensors.
    inherits = ("blip2", ("encoder.", "qformer."))

    def __init__(self, config: Blip2WriterConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, is_trained=config.train_encoder)
        self.config = config
        self.tokenizer = tokenizer
        language = config.language_model
        self.qformer = QFormer(config.qformer, config.encoder.width, has_text=False)
        self.project = nn.Linear(config.qformer.width, language.width)
        self.writer = PrefixDecoder(language, tokenizer.kept, config.qformer.queries)
        self.origin = load_gpt2(self.writer.language_model, language.weights)
        self.writer.language_model.requires_grad_(config.train_language_model)
        self.train(self.training)

    def train(self, mode: bool = True) -> Blip2Writer:
        """As nn.Module, but what is frozen stays in evaluation mode."""
        super().train(mode)
        if not self.config.train_language_model:
            self.writer.language_model.eval()
        return self

    def weight(self, batch: Batch) -> float:
        """What the mean loss is over: the number of target tokens."""
        return float(batch.loss_mask.sum())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean cross-entropy per target token.

        Returns:
            "loss", "nll", and detached "loss/<task>" for each task in the batch.
        """
        found = self.writer.losses(
            self._visual(batch), Rows(batch.tokens, batch.lengths), batch.loss_mask, 0.0
        )
        return found.named([sample.task for sample in batch.samples])

    @torch.no_grad()
    def answer(self, batch: Batch, config: GenerationConfig) -> list[str]:
        """Continue each row after its prompt, by beam search; each image is read once."""
        prompts = questions_of(batch.tokens, batch.prompt_lengths)
        written = self.writer.write(self._visual(batch), prompts, config, self.tokenizer.end)
        return [self.tokenizer.decode(found) for found in written]

    def queries(self, batch: Batch) -> Tensor:
        """What the queries read in each distinct image: [U, Q, D]."""
        return self.qformer.read(self.encode(normalise(batch.images, self.config.encoder.channels)))

    def _visual(self, batch: Batch) -> Tensor:
        visual: Tensor = self.project(self.queries(batch))
        return visual[batch.image_index[:, 0]]
