"""BLIP-2, first stage (Li et al., 2023b): 32 queries learn to read the image for a text.

Legend: U images  B rows  Q queries  T text tokens  D width of the Q-Former  E common space

    image --encoder--> tokens --Q-Former--> Q vectors
        contrast     queries and text read alone; the query that fits best counts
        matching     queries and text see each other: do they belong together?
        generation   the text is written word by word from the queries

The three losses are added. Matching gets, for each image and each text, one hard negative: one
that the contrast takes for alike. While training it is drawn by that likeness; in evaluation the
likest is taken, so that a number does not depend on chance.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapse.config import GenerationConfig
from lapse.config.pretraining import Blip2Config
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch, normalise, text_keys
from lapse.models.backbones.encoder_model import EncoderModel
from lapse.models.backbones.qformer import (
    Pair,
    QFormer,
    Seen,
    alone_mask,
    generation_mask,
    matching_mask,
)
from lapse.models.backbones.qformer_text import QueryText
from lapse.models.layers.beam_search import beam_search, end_where
from lapse.models.layers.padding import Rows, answers_of


class Blip2(EncoderModel):
    """Encoder, Q-Former with its text side, and the heads of the three losses.

    Args:
        config: sizes and choices.
        tokenizer: decides which tokens have a row; writes the answers.
    """

    config_class = Blip2Config
    loss_parts = ("contrast", "matching", "generation")

    def __init__(self, config: Blip2Config, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, is_trained=config.train_encoder)
        self.config = config
        self.tokenizer = tokenizer
        width = config.qformer.width
        self.qformer = QFormer(config.qformer, config.encoder.width, has_text=True)
        self.text = QueryText(config.qformer, tokenizer.kept)
        self.image_head = nn.Linear(width, config.embedding_width)
        self.text_head = nn.Linear(width, config.embedding_width)
        self.match_head = nn.Linear(width, 2)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.temperature)))

    def weight(self, batch: Batch) -> float:
        """What the mean loss is over: the number of pairs."""
        return float(len(batch))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Sum of the three losses.

        Returns:
            "loss", and detached "loss/contrast", "loss/matching" and "loss/generation".
        """
        # Where two epochs meet in one batch, a few images may stand in it twice.
        if 4 * len(batch.images) < 3 * len(batch):
            raise ValueError(
                f"{len(batch)} texts speak of {len(batch.images)} images: BLIP-2 wants one report "
                "per image (data.tasks=[cap], data.regions_per_image=1)"
            )
        texts = self._texts(batch)
        seen = self._seen(batch)
        similar = self.similarity(seen, texts)  # [B, B]
        parts = {  # as `loss_parts` names them
            "contrast": self._contrast(similar),
            "matching": self._matching(seen, texts, similar.detach(), text_keys(batch)),
            "generation": self._generation(seen, texts),
        }
        found = {"loss": torch.stack(list(parts.values())).sum()}
        return found | {f"loss/{name}": part.detach() for name, part in parts.items()}

    def similarity(self, seen: Seen, texts: Rows) -> Tensor:
        """[images, texts]: cosine of each text's [CLS] and the query nearest to it."""
        rows = len(texts.lengths)
        queries = self.qformer.run(None, seen, rows, None).hidden
        width = texts.tokens.shape[1]
        words = self.text.embed(texts.tokens, is_written=False)
        mask = alone_mask(texts.lengths + 1, width + 1)
        read = self.qformer.run(words, None, rows, mask).text[:, 0]
        x = F.normalize(self.image_head(queries).float(), dim=-1)  # [B, Q, E]
        y = F.normalize(self.text_head(read).float(), dim=-1)  # [B, E]
        return torch.einsum("iqe,je->ijq", x, y).amax(dim=-1)

    def match(self, seen: Seen, texts: Rows) -> Tensor:
        """Logits [B, 2] of "apart" and "together", averaged over the queries."""
        width = texts.tokens.shape[1] + 1
        mask = matching_mask(texts.lengths + 1, width, self.config.qformer.queries)
        words = self.text.embed(texts.tokens, is_written=False)
        read = self.qformer.run(words, seen, len(words), mask).hidden
        found: Tensor = self.match_head(read).float().mean(dim=1)
        return found

    @torch.no_grad()
    def answer(self, batch: Batch, config: GenerationConfig) -> list[str]:
        """Write a text for each row's image by beam search; the queries read it once.

        What was trained is a report for an image, so the prompt says nothing and is not read.
        """
        seen = self._seen(batch)
        start = self.qformer.run(None, seen, len(batch), None)
        writer = _Writer(self, start.pairs)
        table = self.text.tokens
        end = int(table.rows(torch.tensor([self.tokenizer.end], device=batch.tokens.device)))
        first = writer.begin(len(batch), end)
        written = beam_search(writer.step, first, config, end)
        return [self.tokenizer.decode(table.ids(found)) for found in written]

    def _texts(self, batch: Batch) -> Rows:
        found = answers_of(batch.tokens, batch.lengths, batch.prompt_lengths)
        return Rows(self.text.tokens.rows(found.tokens), found.lengths)

    def _seen(self, batch: Batch) -> Seen:
        tokens = self.encode(normalise(batch.images, self.config.encoder.channels))
        return self.qformer.look(tokens).of(batch.image_index[:, 0])

    def _contrast(self, similar: Tensor) -> Tensor:
        logits = similar / self.log_temperature.exp()
        wanted = torch.arange(len(logits), device=logits.device)
        smoothing = self.config.label_smoothing
        return (
            F.cross_entropy(logits, wanted, label_smoothing=smoothing)
            + F.cross_entropy(logits.t(), wanted, label_smoothing=smoothing)
        ) / 2

    def _matching(self, seen: Seen, texts: Rows, similar: Tensor, keys: Tensor) -> Tensor:
        keys = keys.to(similar.device)
        is_other = keys[:, None] != keys[None, :]  # a text that reads the same is no negative
        likeness = similar / self.log_temperature.detach().exp()
        own = torch.arange(len(similar), device=similar.device)
        has_other = is_other.any(dim=1)
        rows = own[has_other]
        other_text = hard_negatives(likeness[rows], is_other[rows], is_drawn=self.training)
        other_image = hard_negatives(likeness.t()[rows], is_other[rows], is_drawn=self.training)
        images = torch.cat([own, other_image, rows])
        chosen = torch.cat([own, rows, other_text])
        logits = self.match(seen.of(images), Rows(texts.tokens[chosen], texts.lengths[chosen]))
        wanted = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        wanted[: len(own)] = 1
        return F.cross_entropy(logits, wanted)

    def _generation(self, seen: Seen, texts: Rows) -> Tensor:
        width = texts.tokens.shape[1]
        words = self.text.embed(texts.tokens[:, :-1], is_written=True)  # the last is only wanted
        mask = generation_mask(texts.lengths, width, self.config.qformer.queries)
        hidden = self.qformer.run(words, seen, len(words), mask).text
        logits = self.text.logits(hidden[texts.is_used]).float()
        smoothing = self.config.label_smoothing
        return F.cross_entropy(logits, texts.tokens[texts.is_used], label_smoothing=smoothing)


def hard_negatives(likeness: Tensor, is_other: Tensor, *, is_drawn: bool) -> Tensor:
    """For each row the column of one negative: drawn by likeness, or the likest.

    Args:
        likeness: [R, B] logits.
        is_other: [R, B] bool, columns that may be taken; at least one in every row.
    """
    open_ = likeness.float().masked_fill(~is_other, -torch.inf)
    if not is_drawn:
        return open_.argmax(dim=1)
    if not len(open_):
        return torch.zeros(0, dtype=torch.long, device=likeness.device)
    return torch.multinomial(open_.softmax(dim=1), 1)[:, 0]


class _Writer:
    """The step of beam search: the queries' keys and values, then those of the written words."""

    def __init__(self, method: Blip2, past: tuple[Pair, ...]) -> None:
        self.method, self.past, self.place, self.end = method, past, 0, 0

    def begin(self, rows: int, end: int) -> Tensor:
        """Read [DEC]; the first logits [B, V]."""
        self.end = end
        text = self.method.text
        x = (text.starts[1] + text.positions[0]).expand(rows, -1)
        return self._next(x)

    def step(self, tokens: Tensor, order: Tensor | None) -> Tensor:
        """Reorder what was written, consume one token per row, return the next logits."""
        if order is None:
            opened = self.past[0][0].shape[0]
            order = torch.arange(opened, device=tokens.device)
            order = order.repeat_interleave(len(tokens) // opened)
        self.past = tuple((key[order], value[order]) for key, value in self.past)
        has_no_place = self.place >= self.method.text.max_tokens
        logits = self._next(self.method.text.one(tokens, self.place))
        is_full = torch.full_like(tokens, has_no_place, dtype=torch.bool)
        return end_where(is_full, logits, self.end)

    def _next(self, x: Tensor) -> Tensor:
        hidden, self.past = self.method.qformer.step(x, self.past)
        self.place += 1
        return self.method.text.logits(hidden).float()
