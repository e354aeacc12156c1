"""The captioner's decoder as the writer of an encoder-decoder: reads one memory per row.

Legend: B rows  L memory tokens  A tokens of an answer  D width  V tokens of the table

    begin, answer[0], ... --> TextDecoder with cross-attention to [B, L, D] --> answer[0], ...

The text begins with the end token, as GPT-2's own documents do.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lapse.config import DecoderConfig, GenerationConfig
from lapse.models.backbones.decoder import DecoderCache, TextDecoder
from lapse.models.layers.beam_search import beam_search, end_where
from lapse.models.layers.padding import Rows
from lapse.models.layers.token_losses import TokenLosses, token_losses


class CrossAttentionDecoder(nn.Module):
    """Writes from a memory.

    Args:
        config: sizes of the decoder.
        kept: GPT-2 ids that have a row; None for all.
        end: GPT-2 id that ends a text, and begins it.
    """

    def __init__(self, config: DecoderConfig, kept: tuple[int, ...] | None, end: int) -> None:
        super().__init__()
        self.decoder = TextDecoder(config, kept)
        self.end = end

    def losses(self, memory: Tensor, answers: Rows, smoothing: float) -> TokenLosses:
        """Loss of whole answers, each token from those before it.

        Args:
            memory: [B, L, D].
            answers: GPT-2 ids of B rows, the end included.
            smoothing: label smoothing.
        """
        table = self.decoder.tokens
        rows = table.rows(answers.tokens)
        begin = table.rows(torch.full_like(answers.tokens[:, :1], self.end))
        given = torch.cat([begin, rows[:, :-1]], dim=1)
        everyone = torch.arange(len(rows), device=rows.device)
        seen = self.decoder.memory(memory, everyone)
        hidden = self.decoder(
            given, seen, torch.zeros_like(given, dtype=torch.bool), answers.lengths
        )
        row, place = answers.is_used.nonzero(as_tuple=True)
        return token_losses(table.logits(hidden[row, place]), rows[row, place], row, smoothing)

    def write(self, memory: Tensor, config: GenerationConfig) -> list[list[int]]:
        """The best text of each row by beam search; GPT-2 ids without the end."""
        table = self.decoder.tokens
        everyone = torch.arange(len(memory), device=memory.device)
        begin = table.rows(torch.full((len(memory), 1), self.end, device=memory.device))
        seen = self.decoder.memory(memory, everyone)
        last, cache = self.decoder.start(
            begin, seen, torch.ones_like(everyone), config.max_new_tokens
        )
        end_row = int(begin[0, 0])
        step = _Step(self.decoder, cache, end_row)
        written = beam_search(step, table.logits(last).float(), config, end_row)
        return [table.ids(found) for found in written]


class _Step:
    """One step of the search over a decoder cache; full rows are made to write the end."""

    def __init__(self, decoder: TextDecoder, cache: DecoderCache, end: int) -> None:
        self.decoder, self.cache, self.end = decoder, cache, end

    def __call__(self, tokens: Tensor, order: Tensor | None) -> Tensor:
        """Reorder the cache, consume one token per row, return the next logits [R, V]."""
        if order is None:
            opened = self.cache.filled.shape[0]
            order = torch.arange(opened, device=tokens.device)
            order = order.repeat_interleave(tokens.shape[0] // opened)
        self.cache.reorder(order)
        is_full = self.decoder.is_full(self.cache)
        logits = self.decoder.tokens.logits(self.decoder.step(tokens, self.cache)).float()
        return end_where(is_full, logits, self.end)
