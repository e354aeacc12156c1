"""Rows of tokens cut, joined and padded: question and answer apart, several texts as one row.

Legend: B rows  T tokens  P tokens of a question  A tokens of an answer
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Rows:
    """Texts padded on the right: tokens [B, T] and lengths [B]."""

    tokens: Tensor
    lengths: Tensor

    @property
    def is_used(self) -> Tensor:
        """[B, T] bool, False on padding."""
        return torch.arange(self.tokens.shape[1], device=self.tokens.device) < self.lengths[:, None]


def questions_of(tokens: Tensor, prompt_lengths: Tensor) -> Rows:
    """The prompts of a batch, without what follows them."""
    return Rows(tokens[:, : int(prompt_lengths.max())], prompt_lengths)


def answers_of(tokens: Tensor, lengths: Tensor, prompt_lengths: Tensor) -> Rows:
    """What follows the prompts, moved to the front; the end token is part of it."""
    own = lengths - prompt_lengths
    index = torch.arange(int(own.max()), device=tokens.device) + prompt_lengths[:, None]
    return Rows(tokens.gather(1, index.clamp(max=tokens.shape[1] - 1)), own)


def padded(texts: Sequence[Sequence[int]], pad: int, device: torch.device | str) -> Rows:
    """Lists of tokens as rows.

    Raises:
        ValueError: no text.
    """
    if not texts:
        raise ValueError("rows of tokens need at least one text, got none")
    width = max(1, *(len(text) for text in texts))
    filled = [[*text, *[pad] * (width - len(text))] for text in texts]
    lengths = [len(text) for text in texts]
    return Rows(torch.tensor(filled, device=device), torch.tensor(lengths, device=device))
