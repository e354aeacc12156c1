"""BLIP-2 on difference questions (Li et al., 2023b): 32 queries represent each image.

Legend: B rows  U images  N visual tokens  Q queries  D_q, D widths of Q-Former and GPT-2

    image --frozen encoder--> [N, D_v] --Q-Former--> [Q, D_q] --linear--> [Q, D] --.
    [reference Q; main Q; question] -> GPT-2 -> answer                             '

Encoder and Q-Former come from a run of BLIP-2's first or second stage (`init_encoder`); the second
also has the linear layer, which is new after the first.
The publication reads one image: the vector that marks which of the two images a query belongs to
is added here, after the linear layer (docs/explanation/deviations.md).
"""

from __future__ import annotations

from torch import Tensor, nn

from lapse.config.vqa import Blip2SystemConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch
from lapse.models.backbones.gpt2 import GPT2
from lapse.models.backbones.gpt2_weights import load_gpt2
from lapse.models.backbones.prefix_decoder import PrefixDecoder, PrefixModel
from lapse.models.backbones.qformer import QFormer
from lapse.models.layers.transformer import normal_parameter


class Blip2Answerer(PrefixModel):
    """Answers from two images: encoder, queries, one linear layer and GPT-2.

    Weights: `load_encoder` and `load_part` replace encoder and Q-Former; the linear layer has
    PyTorch's default; image vectors and visual positions normal with deviation 0.02.
    """

    config_class = Blip2SystemConfig
    further_parts = ("qformer", "project")

    def __init__(self, config: Blip2SystemConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, tokenizer, is_encoder_trained=config.train_encoder)
        self.config = config
        self.label_smoothing = config.label_smoothing
        language = config.language_model
        self.qformer = QFormer(config.qformer, config.encoder.width, has_text=False)
        self.project = nn.Linear(config.qformer.width, language.width)
        self.temporal = normal_parameter(2, 1, language.width)
        self.language_model = GPT2(language, tokenizer.kept)
        self.visual_positions = normal_parameter(2 * config.qformer.queries, language.width)
        self.origin = load_gpt2(self.language_model, language.weights)
        if not config.train_language_model:
            self.freeze("language_model")

    def prefix_decoder(self, batch: Batch) -> PrefixDecoder:
        """The language model behind the queries of both images.

        Raises:
            ValueError: a row without two images.
        """
        self.check_pairs(batch)
        queries: Tensor = self.project(self.qformer.read(self.image_tokens(batch)))  # [U, Q, D]
        visual = (queries[batch.image_index] + self.temporal).flatten(1, 2)  # [B, 2 Q, D]
        visual = visual + self.visual_positions
        return PrefixDecoder(self.language_model, visual, self.language_model.positions)
