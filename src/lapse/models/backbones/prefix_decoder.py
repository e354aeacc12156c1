"""GPT-2 behind any visual prefix: reads it, learns the text after it, writes by beam search.

Legend: B rows  M visual tokens  T text tokens  D width  V tokens of the table

    [visual + their own positions; text + GPT-2's positions] -> GPT-2 -> logits of the targets

The same layout as `prefix_lm` with visual_positions "extend" (docs/explanation/deviations.md 3),
for the systems whose visual tokens are made otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lapse.config import GenerationConfig, LanguageModelConfig
from lapse.models.backbones.gpt2 import GPT2, PrefixCache
from lapse.models.layers.beam_search import beam_search, end_where
from lapse.models.layers.padding import Rows
from lapse.models.layers.token_losses import TokenLosses, token_losses


class PrefixDecoder(nn.Module):
    """A language model and the positions of what stands before its text.

    Weights: GPT-2's as `GPT2` says; visual positions normal with deviation 0.02.

    Args:
        config: sizes of GPT-2.
        kept: GPT-2 ids that have a row; None for all.
        num_visual: M, the visual tokens of every row.
    """

    def __init__(
        self, config: LanguageModelConfig, kept: tuple[int, ...] | None, num_visual: int
    ) -> None:
        super().__init__()
        self.language_model = GPT2(config, kept)
        self.visual_positions = nn.Parameter(torch.empty(num_visual, config.width))
        nn.init.normal_(self.visual_positions, std=0.02)

    @property
    def room(self) -> int:
        """How many text tokens have a position."""
        return self.language_model.config.max_positions

    def losses(
        self, visual: Tensor, text: Rows, is_target: Tensor, smoothing: float
    ) -> TokenLosses:
        """Loss of the target tokens, each predicted from what stands before it.

        Args:
            visual: [B, M, D].
            text: GPT-2 ids of B rows.
            is_target: [B, T] bool.
            smoothing: label smoothing.
        """
        table = self.language_model.tokens
        rows = table.rows(text.tokens)
        hidden = self.language_model(self._join(visual, table.embed(rows)))  # [B, M + T, D]
        row, place = is_target.nonzero(as_tuple=True)
        logits = table.logits(hidden[row, place - 1 + visual.shape[1]])  # [targets, V]
        return token_losses(logits, rows[row, place], row, smoothing)

    def write(
        self, visual: Tensor, prompts: Rows, config: GenerationConfig, end: int
    ) -> list[list[int]]:
        """Continue each prompt by beam search; the prefix is read once.

        Args:
            visual: [B, M, D].
            prompts: GPT-2 ids of B rows.
            config: beams and limits.
            end: GPT-2 id that ends a text.

        Returns:
            B lists of GPT-2 ids, without the end.

        Raises:
            ValueError: a prompt leaves no position for an answer.
        """
        width = int(prompts.lengths.max())
        if width >= self.room:
            raise ValueError(
                f"a prompt of {width} tokens leaves no room for an answer within the {self.room} "
                "text positions: raise language_model.max_positions"
            )
        table = self.language_model.tokens
        x = self._join(visual, table.embed(table.rows(prompts.tokens[:, :width])))
        index = torch.arange(x.shape[1], device=x.device)
        is_prefix = index < (prompts.lengths + visual.shape[1])[:, None]  # [B, M + P]
        last, cache = self.language_model.start(x, is_prefix)
        end_row = int(table.rows(torch.tensor([end], device=x.device)))
        step = _Step(self, cache, prompts.lengths, end_row)
        written = beam_search(step, table.logits(last).float(), config, end_row)
        return [table.ids(found) for found in written]

    def _join(self, visual: Tensor, text: Tensor) -> Tensor:
        length = text.shape[1]
        if length > self.room:
            raise ValueError(
                f"a text of {length} tokens exceeds the {self.room} text positions: lower "
                "data.max_tokens or raise language_model.max_positions"
            )
        placed = text + self.language_model.positions[:length]
        return torch.cat([(visual + self.visual_positions).to(placed.dtype), placed], dim=1)


class _Step:
    """One step of the search; full rows are made to write the end."""

    def __init__(
        self, writer: PrefixDecoder, cache: PrefixCache, lengths: Tensor, end: int
    ) -> None:
        self.writer, self.cache, self.lengths, self.end = writer, cache, lengths, end

    def __call__(self, tokens: Tensor, order: Tensor | None) -> Tensor:
        """Reorder the written parts, consume one token per beam, return the next logits."""
        if order is not None:
            self.cache.reorder(order)
        model = self.writer.language_model
        beams = tokens.shape[0] // self.lengths.shape[0]
        places = self.lengths.repeat_interleave(beams) + self.cache.written
        last = self.writer.room - 1
        x = model.tokens.embed(tokens) + model.positions[places.clamp(max=last)]
        logits = model.tokens.logits(model.step(x, self.cache)).float()
        return end_where(places > last, logits, self.end)
