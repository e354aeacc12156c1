"""Texts padded to one length, and the prompt and answer parts of a batch.

Legend: B rows  T tokens
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lapse.data.loading.batch import Batch


@dataclass(frozen=True, slots=True)
class PaddedTokens:
    """Texts padded on the right: GPT-2 ids [B, T] and lengths [B]."""

    tokens: Tensor
    lengths: Tensor

    @property
    def is_used(self) -> Tensor:
        """[B, T] bool, False on padding."""
        return torch.arange(self.tokens.shape[1], device=self.tokens.device) < self.lengths[:, None]


def prompts_of(batch: Batch) -> PaddedTokens:
    """The prompts of a batch, without their answers."""
    return PaddedTokens(batch.tokens[:, : int(batch.prompt_lengths.max())], batch.prompt_lengths)


def answers_of(batch: Batch) -> PaddedTokens:
    """The answers of a batch, end token included, without their prompts."""
    lengths = batch.lengths - batch.prompt_lengths
    index = torch.arange(int(lengths.max()), device=lengths.device) + batch.prompt_lengths[:, None]
    return PaddedTokens(batch.tokens.gather(1, index.clamp(max=batch.tokens.shape[1] - 1)), lengths)


def answer_mask(batch: Batch) -> Tensor:
    """Which tokens of a batch belong to an answer, end token included: [B, T] bool."""
    index = torch.arange(batch.tokens.shape[1], device=batch.tokens.device)
    return batch.loss_mask & (index >= batch.prompt_lengths[:, None])


def prompt_and_answer_ids(batch: Batch) -> list[tuple[list[int], list[int]]]:
    """The ids of prompt and answer of each row, end token included, without padding."""
    bounds = torch.stack([batch.prompt_lengths, batch.lengths], dim=1).tolist()
    rows = zip(batch.tokens.tolist(), bounds, strict=True)
    return [(ids[:start], ids[start:stop]) for ids, (start, stop) in rows]


def check_one_report(batch: Batch, method: str) -> None:
    """Refuse a batch with several texts per image.

    Raises:
        ValueError: names the method that needs one report per image.
    """
    if 4 * len(batch.images) < 3 * len(batch):  # two epochs in a batch repeat a few images
        raise ValueError(
            f"{len(batch)} texts describe {len(batch.images)} images: {method} needs one report "
            "per image (data.tasks=[cap], data.regions_per_image=1)"
        )


def pad_tokens(
    texts: Sequence[Sequence[int]], pad: int, device: torch.device | str
) -> PaddedTokens:
    """Pad lists of tokens with the token `pad`.

    Raises:
        ValueError: there is no text.
    """
    if not texts:
        raise ValueError("padding needs at least one text, got none")
    width = max(1, *(len(text) for text in texts))
    padded = [[*text, *[pad] * (width - len(text))] for text in texts]
    lengths = [len(text) for text in texts]
    return PaddedTokens(torch.tensor(padded, device=device), torch.tensor(lengths, device=device))
