"""Beam search over any step function; the same hypotheses as transformers' `generate`.

Legend: B prompts  k beams  R rows = B * k  V tokens

The search knows no model: it hands tokens and the order of the beams to `step` and receives
logits, so a captioner, GPT-2 behind a shared prefix, or a test table are searched alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lapse.config import GenerationConfig

Step = Callable[[Tensor, Tensor | None], Tensor]
CLOSED = -1e9  # score of a beam that is not open yet, as transformers has it


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One finished continuation.

    Attributes:
        tokens: what was written, without the end token.
        log_probability: natural logarithm, summed over the tokens and the end token. A text cut
            at max_tokens has no end: its number is that of everything that begins so.
        length: how many tokens that sum is over.
    """

    tokens: list[int]
    log_probability: float
    length: int


@dataclass(slots=True)
class _Prompt:
    """The finished hypotheses of one prompt: (score, hypothesis), at most k, best first."""

    beams: int
    finished: list[tuple[float, Hypothesis]] = field(default_factory=list)
    is_done: bool = False

    def add(self, score: float, hypothesis: Hypothesis) -> None:
        self.finished.append((score, hypothesis))
        self.finished.sort(key=lambda pair: -pair[0])
        del self.finished[self.beams :]

    @property
    def worst(self) -> float:
        return self.finished[-1][0] if len(self.finished) == self.beams else CLOSED


def beam_search(
    step: Step, first_logits: Tensor, config: GenerationConfig, end: int
) -> list[list[int]]:
    """The best continuation of each prompt: the first of `beam_hypotheses`, tokens only."""
    return [found[0].tokens for found in beam_hypotheses(step, first_logits, config, end)]


def beam_hypotheses(
    step: Step, first_logits: Tensor, config: GenerationConfig, end: int
) -> list[list[Hypothesis]]:
    """The finished continuations of each prompt, at most k, best first.

    A hypothesis is scored by its summed log-probability over length ** length_penalty, the end
    token counted in both. A prompt is finished when no open beam can beat its worst finished
    hypothesis any more.

    Args:
        step: (tokens [R], order [R] or None) -> logits [R, V]. `order` says from which present
            row each row continues; None on the first call, when every prompt opens k rows.
        first_logits: [B, V], what follows the prompts.
        config: beams, max_tokens, length_penalty.
        end: the token that ends a text.

    Returns:
        B lists of 1 .. k hypotheses, all different.
    """
    if config.num_beams == 1:
        return _greedy(step, first_logits, config, end)
    batch, vocabulary = first_logits.shape
    beams, device = config.num_beams, first_logits.device
    prompts = [_Prompt(beams) for _ in range(batch)]
    scores = torch.full((batch, beams), CLOSED, device=device)
    scores[:, 0] = 0.0
    texts: list[list[list[int]]] = [[[] for _ in range(beams)] for _ in range(batch)]
    logits = first_logits.repeat_interleave(beams, dim=0)
    first_row = torch.arange(batch, device=device)[:, None] * beams  # [B, 1]
    wide = min(2 * beams, beams * vocabulary)
    for length in range(1, config.max_new_tokens + 1):
        total = torch.log_softmax(logits.float(), dim=-1).view(batch, beams, vocabulary)
        total = (total + scores[:, :, None]).view(batch, beams * vocabulary)
        best, flat = total.topk(wide, dim=1)
        sources, tokens = flat // vocabulary, flat % vocabulary
        is_last = length == config.max_new_tokens
        ends = (tokens == end) | is_last
        found = (best, sources, tokens, ends)
        _collect(prompts, texts, found, length**config.length_penalty, end)
        open_scores = best.masked_fill(ends, CLOSED)
        scores, kept = open_scores.topk(beams, dim=1)
        sources, tokens = sources.gather(1, kept), tokens.gather(1, kept)
        texts = _grow(texts, sources.tolist(), tokens.tolist())
        for prompt, top in zip(prompts, scores[:, 0].tolist(), strict=True):
            prompt.is_done |= prompt.worst >= top / length**config.length_penalty
        if is_last or all(prompt.is_done for prompt in prompts):
            break
        order = None if length == 1 else (first_row + sources).view(-1)
        logits = step(tokens.view(-1), order)
    return [[hypothesis for _, hypothesis in prompt.finished] for prompt in prompts]


def end_where(is_full: Tensor, logits: Tensor, end: int) -> Tensor:
    """Logits [R, V] that leave rows [R] without room for another token nothing but the end."""
    only_end = torch.full_like(logits[0], -torch.inf)
    only_end[end] = 0.0
    return torch.where(is_full[:, None], only_end, logits)


def _collect(
    prompts: list[_Prompt],
    texts: list[list[list[int]]],
    found: tuple[Tensor, Tensor, Tensor, Tensor],
    divisor: float,
    end: int,
) -> None:
    """File the candidates that ended among the k best of each open prompt."""
    best, sources, tokens, ends = (part.tolist() for part in found)
    for row, prompt in enumerate(prompts):
        if prompt.is_done:
            continue
        for rank in range(min(prompt.beams, len(best[row]))):
            if ends[row][rank]:
                text = [*texts[row][sources[row][rank]], tokens[row][rank]]
                total = best[row][rank]
                found_text = Hypothesis(_without_end(text, end), total, len(text))
                prompt.add(total / divisor, found_text)


def _grow(
    texts: list[list[list[int]]], sources: list[list[int]], tokens: list[list[int]]
) -> list[list[list[int]]]:
    return [
        [[*old[source], token] for source, token in zip(*pair, strict=True)]
        for old, pair in zip(texts, zip(sources, tokens, strict=True), strict=True)
    ]


def _without_end(tokens: list[int], end: int) -> list[int]:
    return tokens[: tokens.index(end)] if end in tokens else tokens


def _greedy(
    step: Step, first_logits: Tensor, config: GenerationConfig, end: int
) -> list[list[Hypothesis]]:
    """The likeliest token at each step: what beam search with one beam means."""
    count, device = first_logits.shape[0], first_logits.device
    texts: list[list[int]] = [[] for _ in range(count)]
    totals, lengths = torch.zeros(count, device=device), torch.zeros(count, device=device)
    is_open = torch.ones(count, dtype=torch.bool, device=device)
    logits, order = first_logits, None
    for length in range(1, config.max_new_tokens + 1):
        best, tokens = torch.log_softmax(logits.float(), dim=-1).max(dim=-1)
        totals, lengths = totals + best * is_open, lengths + is_open
        is_open &= tokens != end
        for text, token, goes_on in zip(texts, tokens.tolist(), is_open.tolist(), strict=True):
            if goes_on:
                text.append(token)
        if length == config.max_new_tokens or not bool(is_open.any()):
            break
        logits = step(tokens, order)
        order = torch.arange(count, device=device)
    rows = zip(texts, totals.tolist(), lengths.tolist(), strict=True)
    return [[Hypothesis(text, total, int(length))] for text, total, length in rows]
