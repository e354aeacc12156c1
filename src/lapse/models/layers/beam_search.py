"""Beam search over any step function; the same hypotheses as transformers' `generate`.

Legend: B prompts  k beams  R rows = B * k  V tokens

The search does not depend on a model: it passes tokens and the order of the beams to `step` and
receives logits. The captioner, GPT-2 behind a prefix and the LSTM share it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lapse.config import GenerationConfig
from lapse.models.layers.token_embedding import TokenEmbedding

Step = Callable[[Tensor, Tensor], Tensor]
CLOSED = -1e9  # score of a beam that is not open yet, as in transformers


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One finished continuation.

    Attributes:
        tokens: the generated tokens, without the end token.
        log_probability: natural logarithm, summed over the tokens and the end token. A text cut
            at max_new_tokens has no end token: its value is that of the prefix.
        length: the number of tokens in that sum.
    """

    tokens: list[int]
    log_probability: float
    length: int


@dataclass(slots=True)
class _Prompt:
    """The finished hypotheses of one prompt: (score, hypothesis), at most k, best first."""

    num_beams: int
    finished: list[tuple[float, Hypothesis]] = field(default_factory=list)
    is_done: bool = False

    def add(self, score: float, hypothesis: Hypothesis) -> None:
        self.finished.append((score, hypothesis))
        self.finished.sort(key=lambda pair: -pair[0])
        del self.finished[self.num_beams :]

    @property
    def worst(self) -> float:
        return self.finished[-1][0] if len(self.finished) == self.num_beams else CLOSED


def beam_search(
    step: Step, first_logits: Tensor, generation: GenerationConfig, end: int
) -> list[list[Hypothesis]]:
    """The finished continuations of each prompt, at most k, best first.

    A hypothesis is scored by its summed log-probability over length ** length_penalty; both count
    the end token. A prompt is finished when no open beam can beat its worst finished hypothesis.

    Args:
        step: (tokens [R], order [R]) -> logits [R, V]. Row r continues row `order[r]` of the
            previous call with token `tokens[r]`. On the first call the previous rows are the B
            prompts.
        first_logits: [B, V], the logits after the prompts.
        generation: beams, limit of new tokens, length penalty.
        end: the token that ends a text.

    Returns:
        B lists of 1 .. k different hypotheses.
    """
    if generation.num_beams == 1:
        return _greedy(step, first_logits, generation, end)
    batch, vocabulary = first_logits.shape
    num_beams, device = generation.num_beams, first_logits.device
    penalty, limit = generation.length_penalty, generation.max_new_tokens
    prompts = [_Prompt(num_beams) for _ in range(batch)]
    scores = torch.full((batch, num_beams), CLOSED, device=device)
    scores[:, 0] = 0.0
    texts: list[list[list[int]]] = [[[] for _ in range(num_beams)] for _ in range(batch)]
    logits = first_logits.repeat_interleave(num_beams, dim=0)
    first_row = torch.arange(batch, device=device)[:, None]  # [B, 1]
    width = min(2 * num_beams, num_beams * vocabulary)
    for length in range(1, limit + 1):
        total = torch.log_softmax(logits.float(), dim=-1).view(batch, num_beams, vocabulary)
        total = (total + scores[:, :, None]).view(batch, num_beams * vocabulary)
        best, flat = total.topk(width, dim=1)
        sources, tokens = flat // vocabulary, flat % vocabulary
        is_last = length == limit
        ends = (tokens == end) | is_last
        _collect(prompts, texts, (best, sources, tokens, ends), length**penalty, end)
        open_scores = best.masked_fill(ends, CLOSED)
        scores, kept = open_scores.topk(num_beams, dim=1)
        sources, tokens = sources.gather(1, kept), tokens.gather(1, kept)
        texts = [
            [[*grown[source], token] for source, token in zip(*pair, strict=True)]
            for grown, *pair in zip(texts, sources.tolist(), tokens.tolist(), strict=True)
        ]
        for prompt, top in zip(prompts, scores[:, 0].tolist(), strict=True):
            prompt.is_done |= prompt.worst >= top / length**penalty
        if is_last or all(prompt.is_done for prompt in prompts):
            break
        order = first_row.expand_as(sources) if length == 1 else first_row * num_beams + sources
        logits = step(tokens.view(-1), order.reshape(-1))
    return [[hypothesis for _, hypothesis in prompt.finished] for prompt in prompts]


def search_tokens(
    step: Step,
    first_logits: Tensor,
    generation: GenerationConfig,
    table: TokenEmbedding,
    end: int,
) -> list[list[Hypothesis]]:
    """`beam_search` with GPT-2 ids outside: `end` and the hypotheses are ids, not table rows."""
    return [
        [replace(hypothesis, tokens=table.ids(hypothesis.tokens)) for hypothesis in hypotheses]
        for hypotheses in beam_search(step, first_logits, generation, table.row(end))
    ]


def end_where(is_full: Tensor, logits: Tensor, end: int) -> Tensor:
    """Logits [R, V] that force the end token in rows without another position (`is_full` [R])."""
    only_end = torch.full_like(logits[0], -torch.inf)
    only_end[end] = 0.0
    return torch.where(is_full[:, None], only_end, logits)


def _collect(
    prompts: list[_Prompt],
    texts: list[list[list[int]]],
    continuations: tuple[Tensor, Tensor, Tensor, Tensor],
    divisor: float,
    end: int,
) -> None:
    """Add the texts that ended among the k best of each open prompt to its hypotheses.

    Args:
        texts: the tokens of each beam of each prompt.
        continuations: score, source beam, token and whether it ends, each [B, 2 k].
        divisor: length ** length_penalty.
        end: the token that ends a text.
    """
    best, sources, tokens, ends = (part.tolist() for part in continuations)
    for row, prompt in enumerate(prompts):
        if prompt.is_done:
            continue
        for rank in range(min(prompt.num_beams, len(best[row]))):
            if ends[row][rank]:
                text = [*texts[row][sources[row][rank]], tokens[row][rank]]
                total, length = best[row][rank], len(text)
                text = text[: text.index(end)] if end in text else text
                prompt.add(total / divisor, Hypothesis(text, total, length))


def _greedy(
    step: Step, first_logits: Tensor, generation: GenerationConfig, end: int
) -> list[list[Hypothesis]]:
    """The most probable token at each step: beam search with one beam."""
    count, device = first_logits.shape[0], first_logits.device
    texts: list[list[int]] = [[] for _ in range(count)]
    totals, lengths = torch.zeros(count, device=device), torch.zeros(count, device=device)
    is_open = torch.ones(count, dtype=torch.bool, device=device)
    order = torch.arange(count, device=device)
    logits = first_logits
    for length in range(1, generation.max_new_tokens + 1):
        best, tokens = torch.log_softmax(logits.float(), dim=-1).max(dim=-1)
        totals, lengths = totals + best * is_open, lengths + is_open
        is_open &= tokens != end
        for text, token, continues in zip(texts, tokens.tolist(), is_open.tolist(), strict=True):
            if continues:
                text.append(token)
        if length == generation.max_new_tokens or not bool(is_open.any()):
            break
        logits = step(tokens, order)
    rows = zip(texts, totals.tolist(), lengths.tolist(), strict=True)
    return [[Hypothesis(text, total, int(length))] for text, total, length in rows]
