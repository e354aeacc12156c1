"""Stage 1 of the paper (3.1, 3.2): an encoder learns by writing text from its image.

    images [U] --encoder (once per image)--> adapter --> cross-attention of every row of text

Ours and CapPa are this class with other presets: the tasks and the share of captions that is
predicted in parallel decide (Tschannen et al., 2023; Wan et al., 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lapse.config import CaptionerConfig, GenerationConfig
from lapse.core.tokenizer import Tokenizer
from lapse.data.loading.batch import Batch, normalise
from lapse.models.backbones.decoder import DecoderCache, Memory, TextDecoder
from lapse.models.backbones.encoder_model import EncoderModel
from lapse.models.layers.adapter import Adapter
from lapse.models.layers.beam_search import beam_search, end_where
from lapse.models.layers.chunked_cross_entropy import token_losses

GROUP_COST = 16  # tokens of padding that one more group of rows may cost


class Captioner(EncoderModel):
    """Encoder, two-layer adapter and decoder, trained together from random weights.

    Args:
        config: sizes of the parts.
        tokenizer: decides which tokens have a row; writes the answers.
    """

    config_class = CaptionerConfig

    def __init__(self, config: CaptionerConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config.encoder, is_trained=True)
        self.config = config
        self.tokenizer = tokenizer
        self.adapter = Adapter(config.encoder.width, config.decoder.width, config.adapter_width)
        self.decoder = TextDecoder(config.decoder, tokenizer.kept)

    def weight(self, batch: Batch) -> float:
        """What the mean loss is over: the number of target tokens."""
        return float(batch.loss_mask.sum())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean cross-entropy per target token (equation 1).

        Returns:
            "loss", and detached "loss/<task>" for each task in the batch.
        """
        memory = self._memory(batch)
        groups = length_groups(batch.lengths.tolist())
        parts = [self._targets(batch, memory, rows) for rows in groups]
        row = torch.cat([part.row for part in parts])
        wanted = torch.cat([part.wanted for part in parts])
        hidden = torch.cat([part.hidden for part in parts])  # [targets, D]
        losses = token_losses(hidden, self.decoder.tokens.weight, wanted).smoothed
        found = {"loss": losses.mean()}
        names = [sample.task for sample in batch.samples]
        for name in dict.fromkeys(names):
            of_task = torch.tensor([name == other for other in names], device=row.device)[row]
            found[f"loss/{name}"] = losses.detach().where(of_task, 0.0).sum() / of_task.sum()
        return found

    @torch.no_grad()
    def answer(self, batch: Batch, config: GenerationConfig) -> list[str]:
        """Continue each row after its prompt, by beam search.

        Each image is encoded once and each prompt is read once, whatever the number of beams.
        A text ends where the decoder's positions do, whatever its neighbours need.
        """
        memory = self._memory(batch)
        width = int(batch.prompt_lengths.max())
        table = self.decoder.tokens
        rows = table.rows(batch.tokens[:, :width])
        last, cache = self.decoder.start(rows, memory, batch.prompt_lengths, config.max_new_tokens)
        end = int(table.rows(torch.tensor([self.tokenizer.end], device=rows.device)))
        may_fill = width + config.max_new_tokens > self.config.decoder.max_tokens
        writer = _Writer(self.decoder, cache, end if may_fill else None)
        written = beam_search(writer.step, table.logits(last).float(), config, end)
        return [self.tokenizer.decode(table.ids(found)) for found in written]

    def _targets(self, batch: Batch, memory: Memory, rows: list[int]) -> _Targets:
        """Read these rows at their own width; what the loss is over."""
        chosen = torch.tensor(rows, device=batch.tokens.device)
        is_all = rows == list(range(len(batch)))
        width = int(batch.lengths[chosen].max())
        tokens = self.decoder.tokens.rows(batch.tokens[chosen, :width])
        is_target, parallel = batch.loss_mask[chosen, :width], batch.parallel[chosen]
        seen = memory if is_all else memory.for_rows(chosen)
        hidden = self.decoder(
            tokens, seen, is_target & parallel[:, None], batch.lengths[chosen]
        )  # [R, T, D]
        row, position = is_target.nonzero(as_tuple=True)
        source = position - (~parallel[row]).long()  # a causal row predicts one ahead
        return _Targets(chosen[row], tokens[row, position], hidden[row, source])

    def _memory(self, batch: Batch) -> Memory:
        if batch.image_index.shape[1] != 1:
            raise ValueError(
                f"the captioner reads one image per text, got {batch.image_index.shape[1]}: "
                "pretrain on cap, aref, gcap or caref"
            )
        images = normalise(batch.images, self.config.encoder.channels)
        visual = self.adapter(self.encoder(images))
        return self.decoder.memory(visual, batch.image_index[:, 0])


def length_groups(lengths: list[int]) -> list[list[int]]:
    """Rows in groups of like length, so that least is computed for padding.

    Captions are some three times as long as regions' texts; read together, more than half of the
    decoder's work would be padding. Of all ways to cut the rows, sorted by length, the cheapest
    is taken; a group costs its rows times its longest, and `GROUP_COST` for being one.

    >>> length_groups([60, 20, 22, 21])
    [[1, 3, 2], [0]]
    >>> length_groups([20, 22])
    [[0, 1]]
    """
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    best, begins = [0], [0]  # of the first n rows: the cost, and where their last group begins
    for stop in range(1, len(order) + 1):
        longest = lengths[order[stop - 1]]
        cost, begin = min(
            (best[start] + (stop - start) * longest + GROUP_COST, start) for start in range(stop)
        )
        best.append(cost)
        begins.append(begin)
    groups: list[list[int]] = []
    stop = len(order)
    while stop:
        groups.insert(0, order[begins[stop] : stop])
        stop = begins[stop]
    return groups if len(groups) > 1 else [list(range(len(lengths)))]


@dataclass(frozen=True, slots=True)
class _Targets:
    """Row of the batch, wanted row of the token table, and hidden state of each target."""

    row: Tensor
    wanted: Tensor
    hidden: Tensor


class _Writer:
    """The step of beam search over a decoder cache.

    Args:
        decoder, cache: who writes, and what has been read.
        end: the token that full rows are made to write; None where no row can fill up.
    """

    def __init__(self, decoder: TextDecoder, cache: DecoderCache, end: int | None) -> None:
        self.decoder = decoder
        self.cache = cache
        self.end = end

    def step(self, tokens: Tensor, order: Tensor | None) -> Tensor:
        """Reorder the cache, consume one token per row, return the next logits [R, V]."""
        if order is None:
            opened = self.cache.filled.shape[0]
            per_row = tokens.shape[0] // opened
            order = torch.arange(opened, device=tokens.device).repeat_interleave(per_row)
        self.cache.reorder(order)
        is_full = self.decoder.is_full(self.cache)
        logits = self.decoder.tokens.logits(self.decoder.step(tokens, self.cache)).float()
        return logits if self.end is None else end_where(is_full, logits, self.end)
