"""BLIP-2, second stage (Li et al., 2023b): a language model learns to read the queries.

Legend: U images  B rows  Q queries  D_t width of the language model

    image --encoder--> tokens --Q-Former--> Q vectors --linear--> [Q, D_t] | prompt answer --> GPT-2

The Q-Former starts from the first stage's weights (`init_model`: a run of `blip2`), without its
text weights. Encoder and language model are frozen as published, or trained by an option.
"""

from __future__ import annotations

from torch import Tensor, nn

from lapse.config.pretraining import Blip2WriterConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch
from lapse.models.backbones.gpt2 import GPT2
from lapse.models.backbones.gpt2_weights import load_gpt2
from lapse.models.backbones.prefix_decoder import PrefixDecoder, PrefixModel
from lapse.models.backbones.qformer import QFormer
from lapse.models.layers.transformer import normal_parameter


class Blip2Writer(PrefixModel):
    """Encoder, queries, one linear layer and GPT-2."""

    config_class = Blip2WriterConfig
    # The model and the tensors that `init_model` can take from a run of another model.
    inherits = ("blip2", ("encoder.", "qformer."))

    def __init__(self, config: Blip2WriterConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, tokenizer, is_encoder_trained=config.train_encoder)
        self.config = config
        language = config.language_model
        self.qformer = QFormer(config.qformer, config.encoder.width, has_text=False)
        self.project = nn.Linear(config.qformer.width, language.width)
        self.language_model = GPT2(language, tokenizer.kept)
        self.visual_positions = normal_parameter(config.qformer.queries, language.width)
        self.origin = load_gpt2(self.language_model, language.weights)
        if not config.train_language_model:
            self.freeze("language_model")

    def target_mask(self, batch: Batch) -> Tensor:
        """The answers and, with `data.loss_on_given`, what follows the prefix: [B, T] bool."""
        return batch.loss_mask

    def queries(self, batch: Batch) -> Tensor:
        """The output of the queries for each distinct image: [U, Q, D]."""
        return self.qformer.read(self.image_tokens(batch))

    def prefix_decoder(self, batch: Batch) -> PrefixDecoder:
        """The language model behind the queries of the image of each row."""
        visual: Tensor = self.project(self.queries(batch))
        visual = visual[batch.image_index[:, 0]] + self.visual_positions
        return PrefixDecoder(self.language_model, visual, self.language_model.positions)
