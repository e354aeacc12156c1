"""PLURAL as its program is (Cho et al., 2024): OFA over prior image, main image and question.

Legend: B rows  U images  I images per row  N visual tokens  K of them in use  D width
        V tokens of the table, with OFA's image codes and location bins

    image --ResNet--> [N, D_v];  [prior K; main K; question] --OfaEncoder--> states
    OfaDecoder --> answer, from the table that embeds the question

Stage 1 (natural images) is OFA's own; `model.weights` reads it from a folder. Stage 2 learns the
reports of pairs and of single images, two batches per step (`data.second_tasks`); for pairs, a
random part of each image's tokens is drawn in every step (`sample_patches`). Stage 3 learns
difference questions.

    loss of a token = (1 - e - e / (V - 1)) nll + e / (V - 1) sum over v of -log p_v
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from lapse.config import GenerationConfig
from lapse.config.vqa import PluralPublishedConfig
from lapse.core.seeding import derive_seed
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch
from lapse.models.backbones.generative_model import GenerativeModel
from lapse.models.backbones.hub import read_weights
from lapse.models.backbones.ofa import Encoded, Images, OfaDecoder, OfaEncoder
from lapse.models.layers.beam_search import Hypothesis, end_where, search_tokens
from lapse.models.layers.padding import answers_of, prompts_of
from lapse.models.layers.token_embedding import TokenEmbedding
from lapse.models.layers.token_losses import TokenLosses, token_losses
from lapse.models.layers.transformer import normal_parameter


class PluralPublished(GenerativeModel):
    """Answers from both images and the question, or writes the report of one or two images.

    Weights: OFA's, or as the submodules describe.
    """

    config_class = PluralPublishedConfig

    def __init__(self, config: PluralPublishedConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, tokenizer, is_encoder_trained=config.train_encoder)
        self.config = config
        width = config.ofa.width
        self.tokens = TokenEmbedding(width, tokenizer.kept, size=tokenizer.size)
        self.further_tokens = normal_parameter(config.further_tokens, width)
        self.reader = OfaEncoder(config.ofa, config.encoder.width)
        self.writer = OfaDecoder(config.ofa)
        self.step = 0
        self.origin = self._load_weights()
        if config.freeze_tokens:
            self.tokens.requires_grad_(False)
            self.further_tokens.requires_grad_(False)

    def start_step(self, step: int) -> None:
        """The number of finished optimizer steps, which `drop_worst_after` refers to."""
        self.step = step

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean loss per token, over the tokens and image patches that the options select.

        Returns:
            as `GenerativeModel.loss`.
        """
        images = self._images(batch, self.config.sample_patches)
        losses = self._losses(batch, images, self._table())
        named = losses.by_task(batch.samples)
        if self.training and self.config.drop_worst and self.step >= self.config.drop_worst_after:
            kept = int(len(losses.smoothed) * (1 - self.config.drop_worst))
            named["loss"] = losses.smoothed.topk(max(1, kept), largest=False).values.mean()
        return named

    def token_losses(self, batch: Batch) -> TokenLosses:
        """The loss of every answer token, from all visual tokens."""
        return self._losses(batch, self._images(batch, None), self._table())

    @torch.no_grad()
    def log_probability(self, batch: Batch) -> Tensor:
        """Log-probability of each row's answer among texts, without OFA's codes: [B], in nats."""
        losses = self._losses(batch, self._images(batch, None), self.tokens.weight)
        return losses.log_probability(len(batch))

    @torch.no_grad()
    def hypotheses(self, batch: Batch, generation: GenerationConfig) -> list[list[Hypothesis]]:
        """The answers that beam search finished; each image is read once."""
        encoded = self._encoded(batch, self._images(batch, None))
        limit = min(generation.max_new_tokens + 1, self.config.ofa.max_tokens)
        state, table = self.writer.start(encoded, limit), self.tokens
        end, start = table.row(self.tokenizer.end), table.row(self.tokenizer.start)

        def logits(rows: Tensor) -> Tensor:
            hidden = self.writer.read(table.embed(rows)[:, None], state)
            return table.logits(hidden[:, 0]).float()

        def step(tokens: Tensor, order: Tensor) -> Tensor:
            state.reorder(order)
            if state.length < limit:
                return logits(tokens)
            is_full = torch.ones_like(tokens, dtype=torch.bool)
            return end_where(is_full, tokens.new_zeros(len(tokens), table.num_rows).float(), end)

        first = logits(torch.full((len(batch),), start, device=batch.tokens.device))
        return search_tokens(step, first, generation, table, self.tokenizer.end)

    def _table(self) -> Tensor:
        """The output layer: tokens of texts, then OFA's codes."""
        return torch.cat([self.tokens.weight, self.further_tokens])

    def _losses(self, batch: Batch, images: Images, table: Tensor) -> TokenLosses:
        answers = answers_of(batch)
        targets = self.tokens.rows(answers.tokens.masked_fill(~answers.is_used, self.tokenizer.end))
        start = self.tokens.row(self.tokenizer.start)
        rows = torch.cat([torch.full_like(targets[:, :1], start), targets[:, :-1]], dim=1)
        state = self.writer.start(self._encoded(batch, images), rows.shape[1])
        hidden = self.writer.read(self.tokens.embed(rows), state)
        row, position = answers.is_used.nonzero(as_tuple=True)
        # e over the V - 1 other tokens equals PyTorch's smoothing of e V / (V - 1) over all.
        smoothing = self.config.label_smoothing * len(table) / (len(table) - 1)
        return token_losses(hidden[row, position], table, targets[row, position], row, smoothing)

    def _encoded(self, batch: Batch, images: Images) -> Encoded:
        questions = prompts_of(batch)
        ids = questions.tokens.masked_fill(~questions.is_used, self.tokenizer.end)
        words = self.tokens.embed(self.tokens.rows(ids))
        encoded: Encoded = self.reader(images, words, questions)
        return encoded

    def _images(self, batch: Batch, num_patches: int | None) -> Images:
        """The visual tokens of each row; two images give `num_patches` each, drawn per batch."""
        tokens = self.image_tokens(batch)[batch.image_index]  # [B, I, N, D_v]
        num_rows, num_images, count, width = tokens.shape
        side = int(count**0.5)
        grid = torch.arange(count, device=tokens.device)
        places = (grid // side * self.config.ofa.side + grid % side).expand(
            num_rows, num_images, -1
        )
        if num_images == 1 or num_patches is None or num_patches >= count:
            return Images(tokens, places)
        chosen = self._draw(batch, (num_images, count)).argsort(-1)[..., :num_patches]
        chosen = chosen.sort(-1).values.to(tokens.device)
        picked = tokens.gather(2, chosen[..., None].expand(-1, -1, -1, width))
        return Images(picked, places.gather(2, chosen))

    def _draw(self, batch: Batch, shape: tuple[int, int]) -> Tensor:
        """Random numbers of each row: new ones in training, the same for a sample in validation."""
        if self.training:
            return torch.rand(len(batch), *shape)
        seeds = (derive_seed("patches", sample.id) for sample in batch.samples)
        return torch.stack(
            [torch.rand(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        )

    def _load_weights(self) -> str:
        """Read OFA's weights where a folder is given; one sentence about their source."""
        if self.config.weights is None:
            return "OFA: random weights (model.weights is not set), without natural images"
        folder = Path(self.config.weights)
        if not folder.is_dir():
            raise ValueError(f"model.weights {folder} is not a folder")
        tensors = read_weights(folder, lambda _: True)
        try:
            self.load_state_dict(tensors)
        except RuntimeError as error:
            raise ValueError(
                f"the weights in {folder} do not fit this model: {' '.join(str(error).split())}"
            ) from None
        return f"OFA: {len(tensors)} tensors of {folder}"
