"""BLIP-2, first stage (Li et al., 2023b): 32 queries learn to read the image for a text.

Legend: U images  B rows  Q queries  T text tokens  D width of the Q-Former  E common space

    image --encoder--> tokens --Q-Former--> Q vectors
        contrast     queries and text are read separately; the most similar query counts
        matching     queries and text attend to each other: are they a pair?
        generation   the text is generated token by token from the queries

The loss is the sum of the three. Matching gets one hard negative for each image and each text,
chosen by the similarity of the contrast: drawn by it in training, the most similar in evaluation,
so that validation is deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.config.pretraining import Blip2Config
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch, text_keys
from lapse.models.backbones.bert_weights import load_bert
from lapse.models.backbones.generative_model import GenerativeModel
from lapse.models.backbones.qformer import (
    ImageMemory,
    QFormer,
    alone_mask,
    generation_mask,
    matching_mask,
)
from lapse.models.backbones.qformer_text import QFormerText
from lapse.models.layers.beam_search import Hypothesis, end_where, search_tokens
from lapse.models.layers.gathered_pairs import gathered, is_gathering
from lapse.models.layers.padding import PaddedTokens, answers_of, check_one_report
from lapse.models.layers.token_losses import TokenLosses


class Blip2(GenerativeModel):
    """Encoder, Q-Former with its text part, and the heads of the three losses."""

    config_class = Blip2Config
    loss_parts = ("contrast", "matching", "generation")

    def __init__(self, config: Blip2Config, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, tokenizer, is_encoder_trained=config.train_encoder)
        self.config = config
        width = config.qformer.width
        self.qformer = QFormer(config.qformer, config.encoder.width, has_text=True)
        self.text = QFormerText(config.qformer, tokenizer)
        self.origin = load_bert(self.qformer, self.text, config.qformer.weights, tokenizer.start)
        self.image_head = nn.Linear(width, config.embedding_width)
        self.text_head = nn.Linear(width, config.embedding_width)
        self.match_head = nn.Linear(width, 2)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.temperature)))

    def weight(self, batch: Batch) -> float:
        """What the mean in "loss" is over: the number of pairs."""
        return float(len(batch))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Sum of the three losses.

        Returns:
            "loss", and detached "loss/contrast", "loss/matching" and "loss/generation".

        Raises:
            ValueError: several texts describe one image.
        """
        check_one_report(batch, "BLIP-2")
        texts, tokens = self.texts(batch), self.image_tokens(batch)[batch.image_index[:, 0]]
        memory = self.qformer.image_memory(tokens)
        pool = self._pool(tokens, texts, text_keys(batch).to(tokens.device))
        to_texts, to_images = self._similarities(memory, texts, pool)
        parts = {  # as `loss_parts` names them
            "contrast": self._contrast(to_texts, to_images, pool.offset),
            "matching": self._matching(memory, texts, pool, to_texts.detach(), to_images.detach()),
            "generation": self._generation(memory, texts).smoothed.mean(),
        }
        losses = {"loss": torch.stack(list(parts.values())).sum()}
        return losses | {f"loss/{name}": part.detach() for name, part in parts.items()}

    def token_losses(self, batch: Batch) -> TokenLosses:
        """The generation loss of every answer token."""
        return self._generation(self.image_memory(batch), self.texts(batch))

    def similarity(self, memory: ImageMemory, texts: PaddedTokens) -> Tensor:
        """[images, texts]: cosine of each text's [CLS] and the query nearest to it."""
        return _nearest(*self.vectors(memory, texts))

    def vectors(self, memory: ImageMemory, texts: PaddedTokens) -> tuple[Tensor, Tensor]:
        """Queries [B, Q, E] and texts [B, E] in the common space, length one."""
        rows = len(texts.lengths)
        queries = self.qformer.run(None, memory, rows, None).hidden
        words = self.text.embed(texts.tokens, is_generated=False)
        mask = alone_mask(texts.lengths + 1, texts.tokens.shape[1] + 1)
        first = self.qformer.run(words, None, rows, mask).text[:, 0]
        x = F.normalize(self.image_head(queries).float(), dim=-1)
        return x, F.normalize(self.text_head(first).float(), dim=-1)

    def _pool(self, tokens: Tensor, texts: PaddedTokens, keys: Tensor) -> _Pool:
        """The pairs that the pairs of this rank are contrasted with."""
        is_training = self.training and self.config.contrast_over == "all"
        if not is_gathering(is_training=is_training):
            return _Pool(tokens, texts, keys, 0)
        texts = PaddedTokens(gathered(texts.tokens), gathered(texts.lengths))
        return _Pool(gathered(tokens), texts, gathered(keys), dist.get_rank() * len(tokens))

    def _similarities(
        self, memory: ImageMemory, texts: PaddedTokens, pool: _Pool
    ) -> tuple[Tensor, Tensor]:
        """Images of this rank to all texts, and texts of this rank to all images: [b, B]."""
        x, y = self.vectors(memory, texts)
        if len(pool.keys) == len(x):
            similarity = _nearest(x, y)
            return similarity, similarity.t()
        return _nearest(x, gathered(y)), _nearest(gathered(x), y).t()

    def match(self, memory: ImageMemory, texts: PaddedTokens) -> Tensor:
        """Logits [B, 2] of "not a pair" and "pair", averaged over the queries."""
        width = texts.tokens.shape[1] + 1
        mask = matching_mask(texts.lengths + 1, width, self.config.qformer.queries)
        words = self.text.embed(texts.tokens, is_generated=False)
        queries = self.qformer.run(words, memory, len(words), mask).hidden
        logits: Tensor = self.match_head(queries).float().mean(dim=1)
        return logits

    def hypotheses(self, batch: Batch, generation: GenerationConfig) -> list[list[Hypothesis]]:
        """The texts that beam search finished; the queries read each row's image once.

        Training pairs an image with its report, so the prompt of a row is not read.
        """
        text, qformer = self.text, self.qformer
        past = qformer.run(None, self.image_memory(batch), len(batch), None).pairs
        hidden, past = qformer.step(text.generation_start(len(batch)), past)
        end_row, position = text.tokens.row(self.tokenizer.end), 1

        def step(tokens: Tensor, order: Tensor) -> Tensor:
            nonlocal past, position
            past = tuple((key[order], value[order]) for key, value in past)
            hidden, past = qformer.step(text.embed_at(tokens, position), past)
            is_full = torch.full_like(tokens, position >= text.max_tokens, dtype=torch.bool)
            position += 1
            return end_where(is_full, text.logits(hidden).float(), end_row)

        first = text.logits(hidden).float()
        return search_tokens(step, first, generation, text.tokens, self.tokenizer.end)

    def texts(self, batch: Batch) -> PaddedTokens:
        """The answer of each row, in rows of the token table."""
        answers = answers_of(batch)
        return PaddedTokens(self.text.tokens.rows(answers.tokens), answers.lengths)

    def image_memory(self, batch: Batch) -> ImageMemory:
        """Cross-attention keys and values of the image of each row."""
        return self.qformer.image_memory(self.image_tokens(batch)).of(batch.image_index[:, 0])

    def _contrast(self, to_texts: Tensor, to_images: Tensor, offset: int) -> Tensor:
        targets = torch.arange(len(to_texts), device=to_texts.device) + offset
        temperature, smoothing = self.log_temperature.exp(), self.config.label_smoothing
        return (
            F.cross_entropy(to_texts / temperature, targets, label_smoothing=smoothing)
            + F.cross_entropy(to_images / temperature, targets, label_smoothing=smoothing)
        ) / 2

    def _matching(
        self,
        memory: ImageMemory,
        texts: PaddedTokens,
        pool: _Pool,
        to_texts: Tensor,
        to_images: Tensor,
    ) -> Tensor:
        """Each pair, each text with a hard image, and each image with a hard text."""
        count = len(texts.lengths)
        own_keys = pool.keys[pool.offset : pool.offset + count]
        is_negative = own_keys[:, None] != pool.keys[None, :]  # an equal text is not a negative
        temperature = self.log_temperature.detach().exp()
        pairs = torch.arange(count, device=to_texts.device)
        rows = pairs[is_negative.any(dim=1)]
        hard = partial(hard_negatives, is_negative=is_negative[rows], is_drawn=self.training)
        chosen_text, chosen_image = (hard(x[rows] / temperature) for x in (to_texts, to_images))
        if len(pool.keys) == count:  # all images are read already
            others = memory.of(chosen_image)
        else:
            others = self.qformer.image_memory(pool.tokens[chosen_image])
        images = ImageMemory.joined([memory, others, memory.of(rows)])
        matches = self.match(
            images, joined_texts([(texts, pairs), (texts, rows), (pool.texts, chosen_text)])
        )
        targets = torch.zeros(len(matches), dtype=torch.long, device=matches.device)
        targets[:count] = 1
        return F.cross_entropy(matches, targets)

    def _generation(self, memory: ImageMemory, texts: PaddedTokens) -> TokenLosses:
        width = texts.tokens.shape[1]
        # The last token is only a target.
        words = self.text.embed(texts.tokens[:, :-1], is_generated=True)
        mask = generation_mask(texts.lengths, width, self.config.qformer.queries)
        hidden = self.qformer.run(words, memory, len(words), mask).text
        row, position = texts.is_used.nonzero(as_tuple=True)
        targets = texts.tokens[row, position]
        smoothing = self.config.label_smoothing
        return self.text.losses(hidden[row, position], targets, row, smoothing)


@dataclass(frozen=True, slots=True)
class _Pool:
    """The pairs among which negatives are: of this rank, or of all ranks.

    Attributes:
        tokens: [B, N, D_v], visual tokens of the image of each pair.
        texts: rows of the token table.
        keys: [B], equal where two texts are the same.
        offset: the number of this rank's first pair.
    """

    tokens: Tensor
    texts: PaddedTokens
    keys: Tensor
    offset: int


def joined_texts(parts: Sequence[tuple[PaddedTokens, Tensor]]) -> PaddedTokens:
    """Some rows of several texts, one after another, padded to one width."""
    width = max(texts.tokens.shape[1] for texts, _ in parts)
    tokens = [
        F.pad(texts.tokens[rows], (0, width - texts.tokens.shape[1])) for texts, rows in parts
    ]
    lengths = [texts.lengths[rows] for texts, rows in parts]
    return PaddedTokens(torch.cat(tokens), torch.cat(lengths))


def _nearest(queries: Tensor, texts: Tensor) -> Tensor:
    """[images, texts]: the largest product of a query and the text."""
    return torch.einsum("iqe,je->ijq", queries, texts).amax(dim=-1)


def hard_negatives(logits: Tensor, is_negative: Tensor, *, is_drawn: bool) -> Tensor:
    """For each row the column of one negative: drawn by its logit, or the largest.

    Args:
        logits: [R, B] similarities.
        is_negative: [R, B] bool, columns that may be chosen; at least one in every row.
        is_drawn: False chooses the largest.
    """
    allowed = logits.float().masked_fill(~is_negative, -torch.inf)
    if not is_drawn:
        return allowed.argmax(dim=1)
    if not len(allowed):
        return torch.zeros(0, dtype=torch.long, device=logits.device)
    return torch.multinomial(allowed.softmax(dim=1), 1)[:, 0]
