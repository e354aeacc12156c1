"""GPT-2 behind a visual prefix: losses of the text after it, and generation by beam search.

Legend: B rows  M visual tokens  T text tokens  P positions of text  D width

    [visual tokens; text + positions] -> GPT-2 -> logits of the targets

All models whose language model reads visual tokens as a prefix share this decoder; they differ in
how they make the visual tokens.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lapse.config import GenerationConfig
from lapse.data.loading.batch import Batch
from lapse.models.backbones.generative_model import GenerativeModel
from lapse.models.backbones.gpt2 import GPT2
from lapse.models.layers.beam_search import Hypothesis, end_where, search_tokens
from lapse.models.layers.padding import PaddedTokens, pad_tokens, prompts_of
from lapse.models.layers.token_losses import TokenLosses, token_losses


@dataclass(frozen=True, slots=True)
class PrefixDecoder:
    """The language model and the visual prefixes of one batch.

    Attributes:
        visual: [B, M, D], the visual tokens of each row, their positions added.
        text_positions: [P, D], position embeddings of text; a text has at most P tokens.
    """

    language_model: GPT2
    visual: Tensor
    text_positions: Tensor

    def losses(self, text: PaddedTokens, is_target: Tensor, smoothing: float) -> TokenLosses:
        """Loss of the target tokens, each predicted from everything before it.

        Args:
            is_target: [B, T] bool.

        Raises:
            ValueError: a text is longer than the positions.
        """
        table = self.language_model.tokens
        tokens = table.rows(text.tokens)
        hidden = self.language_model(self._join(tokens))  # [B, M + T, D]
        row, position = is_target.nonzero(as_tuple=True)
        source = hidden[row, position - 1 + self.visual.shape[1]]
        return token_losses(source, table.weight, tokens[row, position], row, smoothing)

    def answer_losses(
        self,
        prompts: Sequence[Sequence[int]],
        answers: Sequence[Sequence[int]],
        smoothing: float,
        end: int,
    ) -> TokenLosses:
        """Loss of every token of B answers, each after its prompt; both are GPT-2 ids."""
        device = self.visual.device
        texts = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
        text = pad_tokens(texts, end, device)
        index = torch.arange(text.tokens.shape[1], device=device)
        starts = torch.tensor([len(prompt) for prompt in prompts], device=device)
        return self.losses(text, text.is_used & (index >= starts[:, None]), smoothing)

    def greedy_texts(self, prompt: Sequence[int], limit: int, end: int) -> list[list[int]]:
        """The most probable text of at most `limit` tokens in each row, after one prompt."""
        prompts = pad_tokens([prompt] * len(self.visual), end, self.visual.device)
        greedy = GenerationConfig(num_beams=1, max_new_tokens=limit)
        return [texts[0].tokens for texts in self.hypotheses(prompts, greedy, end)]

    def hypotheses(
        self, prompts: PaddedTokens, generation: GenerationConfig, end: int
    ) -> list[list[Hypothesis]]:
        """Continue each prompt by beam search; prefix and prompt are read once for all beams.

        Args:
            end: GPT-2 id of the end token.

        Raises:
            ValueError: no position remains for an answer after a prompt.
        """
        model, limit = self.language_model, len(self.text_positions)
        width = int(prompts.lengths.max())
        if width >= limit:
            raise ValueError(
                f"a prompt of {width} tokens leaves no room for an answer within the {limit} "
                "text positions: raise language_model.max_positions"
            )
        table = model.tokens
        x = self._join(table.rows(prompts.tokens[:, :width]))
        index = torch.arange(x.shape[1], device=x.device)
        is_prefix = index < (prompts.lengths + self.visual.shape[1])[:, None]  # [B, M + T]
        last, cache = model.start(x, is_prefix)
        end_row = table.row(end)

        def step(tokens: Tensor, order: Tensor) -> Tensor:
            cache.reorder(order)
            num_beams = len(tokens) // len(prompts.lengths)
            positions = prompts.lengths.repeat_interleave(num_beams) + cache.num_generated
            x = table.embed(tokens) + self.text_positions[positions.clamp(max=limit - 1)]
            logits = table.logits(model.step(x, cache)).float()
            return end_where(positions >= limit, logits, end_row)

        return search_tokens(step, table.logits(last).float(), generation, table, end)

    def _join(self, tokens: Tensor) -> Tensor:
        """Visual tokens and embedded text: [B, M + T, D]."""
        length, limit = tokens.shape[1], len(self.text_positions)
        if length > limit:
            raise ValueError(
                f"a text of {length} tokens exceeds the {limit} text positions: lower "
                "data.max_tokens or raise language_model.max_positions"
            )
        text = self.language_model.tokens.embed(tokens) + self.text_positions[:length]
        return torch.cat([self.visual.to(text.dtype), text], dim=1)


class PrefixModel(GenerativeModel):
    """A model whose language model reads visual tokens before the text of each row."""

    label_smoothing = 0.0
    sharded_parts: tuple[str, ...] = ("encoder", "language_model")

    @abstractmethod
    def prefix_decoder(self, batch: Batch) -> PrefixDecoder:
        """The language model behind the visual tokens of each row."""

    def text_losses(self, batch: Batch, decoder: PrefixDecoder) -> TokenLosses:
        """The loss of every target token behind these visual tokens."""
        text = PaddedTokens(batch.tokens, batch.lengths)
        return decoder.losses(text, self.target_mask(batch), self.label_smoothing)

    def token_losses(self, batch: Batch) -> TokenLosses:
        """The loss of every target token."""
        return self.text_losses(batch, self.prefix_decoder(batch))

    def hypotheses(self, batch: Batch, generation: GenerationConfig) -> list[list[Hypothesis]]:
        """The texts that beam search finished; each image and prompt is read once."""
        decoder = self.prefix_decoder(batch)
        return decoder.hypotheses(prompts_of(batch), generation, self.tokenizer.end)
