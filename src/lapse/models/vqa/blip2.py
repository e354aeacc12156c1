"""BLIP-2 on difference questions (Li et al., 2023b): 32 queries speak for each image.

Legend: B rows  U images  N visual tokens  Q queries  D_q, D widths of Q-Former and GPT-2

    image --frozen encoder--> [N, D_v] --Q-Former--> [Q, D_q] --linear--> [Q, D] --.
    [reference Q; main Q; question] -> GPT-2 -> answer                             '

Encoder and Q-Former come from a stage-1 run of BLIP-2 (`init_encoder`); the linear layer is its
own. The publication reads one image: the vector that says which of the two a query belongs to
is added here, behind the linear layer (docs/explanation/deviations.md).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.config.vqa import Blip2SystemConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch, normalise
from lapse.models.backbones.encoder_model import EncoderModel
from lapse.models.backbones.gpt2_weights import load_gpt2
from lapse.models.backbones.prefix_decoder import PrefixDecoder
from lapse.models.backbones.qformer import QFormer
from lapse.models.layers.padding import Rows, questions_of


class Blip2Answerer(EncoderModel):
    """Encoder, queries, one linear layer and GPT-2.

    Weights: encoder and Q-Former are handed over; the linear layer PyTorch's default; which-image
    vectors normal with deviation 0.02.

    Args:
        config: sizes and choices.
        tokenizer: of the run.
    """

    config_class = Blip2SystemConfig
    further_parts = ("qformer",)

    def __init__(self, config: Blip2SystemConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, is_trained=config.train_encoder)
        self.config = config
        self.tokenizer = tokenizer
        language = config.language_model
        self.qformer = QFormer(config.qformer, config.encoder.width, has_text=False)
        self.project = nn.Linear(config.qformer.width, language.width)
        self.temporal = nn.Parameter(torch.empty(2, 1, language.width))
        nn.init.normal_(self.temporal, std=0.02)
        self.writer = PrefixDecoder(language, tokenizer.kept, 2 * config.qformer.queries)
        self.origin = load_gpt2(self.writer.language_model, language.weights)
        self.writer.language_model.requires_grad_(config.train_language_model)
        self.train(self.training)

    def train(self, mode: bool = True) -> Blip2Answerer:
        """As nn.Module, but what is frozen stays in evaluation mode."""
        super().train(mode)
        if not self.config.train_language_model:
            self.writer.language_model.eval()
        return self

    def load_part(self, part: str, state: Mapping[str, Tensor]) -> str:
        """Take the Q-Former of a stage-1 run; its text side is left behind.

        Returns one sentence.

        Raises:
            ValueError: that run has another Q-Former.
        """
        own = self.qformer.state_dict()
        if not state:
            return f"{part}: random weights (that run has none)"
        wrong = [key for key in own if key not in state or state[key].shape != own[key].shape]
        if wrong:
            raise ValueError(
                f"the Q-Former of that run does not fit in {len(wrong)} tensors, the first is "
                f"{wrong[0]}: give model.qformer the same sizes"
            )
        self.qformer.load_state_dict({key: state[key] for key in own})
        return f"{part}: {len(own)} tensors of the same run"

    def weight(self, batch: Batch) -> float:
        """What the mean loss is over: the number of answer tokens."""
        return float(_targets(batch).sum())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean label-smoothed cross-entropy per answer token."""
        text = Rows(batch.tokens, batch.lengths)
        smoothing = self.config.label_smoothing
        losses = self.writer.losses(self._visual(batch), text, _targets(batch), smoothing)
        return losses.named([sample.task for sample in batch.samples])

    def answer(self, batch: Batch, config: GenerationConfig) -> list[str]:
        """Answer each row's question by beam search; each image is read once."""
        prompts = questions_of(batch.tokens, batch.prompt_lengths)
        written = self.writer.write(self._visual(batch), prompts, config, self.tokenizer.end)
        return [self.tokenizer.decode(ids) for ids in written]

    def _visual(self, batch: Batch) -> Tensor:
        """The queries of both images: [B, 2 Q, D].

        Raises:
            ValueError: a row without two images.
        """
        if batch.image_index.shape[1] != 2:
            raise ValueError(
                f"this system compares two images, got {batch.image_index.shape[1]} per question"
            )
        tokens = self.encode(normalise(batch.images, self.config.encoder.channels))
        queries: Tensor = self.project(self.qformer.read(tokens))  # [U, Q, D]
        return (queries[batch.image_index] + self.temporal).flatten(1, 2)


def _targets(batch: Batch) -> Tensor:
    index = torch.arange(batch.tokens.shape[1], device=batch.tokens.device)
    return batch.loss_mask & (index >= batch.prompt_lengths[:, None])
