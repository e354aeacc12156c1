"""Cross-entropy of target tokens against the tied table, without holding all their logits.

Legend: R targets  D width  V tokens of the table

Logits of 5,000 targets over 50,257 tokens are 1 GB, their gradient another. Above `CHUNK`
targets they are made `CHUNK` at a time and made again in the backward pass; the gradient of the
table is summed in fp32, whatever the precision of the products.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 512


@dataclass(frozen=True, slots=True)
class TokenLosses:
    """Per target: the smoothed loss, which carries the gradient, and the plain one, detached."""

    smoothed: Tensor  # [R] fp32
    plain: Tensor  # [R] fp32


def token_losses(
    hidden: Tensor, table: Tensor, wanted: Tensor, *, smoothing: float = 0.0
) -> TokenLosses:
    """What each target costs.

    Args:
        hidden: [R, D], the states that predict.
        table: [V, D], tied embeddings.
        wanted: [R] rows of the table.
        smoothing: share of the target's probability that is spread over all tokens.
    """
    if len(wanted) > CHUNK:
        smoothed, plain = _Chunked.apply(hidden, table, wanted, smoothing)  # type: ignore[no-untyped-call]
        return TokenLosses(smoothed, plain.detach())
    return TokenLosses(*_losses(F.linear(hidden, table).float(), wanted, smoothing))


def _losses(logits: Tensor, wanted: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    smoothed = F.cross_entropy(logits, wanted, label_smoothing=smoothing, reduction="none")
    if smoothing == 0.0:
        return smoothed, smoothed.detach()
    return smoothed, F.cross_entropy(logits.detach(), wanted, reduction="none")


class _Chunked(torch.autograd.Function):
    """The same, a chunk at a time; products run in autocast's type where it is on."""

    @staticmethod
    def forward(
        context: Any, hidden: Tensor, table: Tensor, wanted: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
        context.save_for_backward(hidden, table, wanted)
        context.dtype, context.smoothing = dtype, smoothing
        smoothed, plain = [], []
        with torch.autocast(kind, enabled=False):
            weight = table.to(dtype)
            for rows in _chunks(len(wanted)):
                logits = F.linear(hidden[rows].to(dtype), weight).float()
                one, other = _losses(logits, wanted[rows], smoothing)
                smoothed.append(one)
                plain.append(other)
        found = torch.cat(smoothed), torch.cat(plain)
        context.mark_non_differentiable(found[1])
        return found

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden, table, wanted = context.saved_tensors
        gradient, dtype, smoothing = gradients[0], context.dtype, context.smoothing
        of_hidden = torch.empty_like(hidden)
        of_table = torch.zeros(table.shape, dtype=torch.float32, device=table.device)
        with torch.autocast(hidden.device.type, enabled=False):
            weight = table.to(dtype)
            for rows in _chunks(len(wanted)):
                states = hidden[rows].to(dtype)
                wrong = F.linear(states, weight).float().softmax(dim=-1)  # [chunk, V]
                wrong.sub_(smoothing / len(table))
                index = wanted[rows, None]
                wrong.scatter_add_(1, index, wrong.new_full(index.shape, smoothing - 1.0))
                wrong = wrong.mul_(gradient[rows, None]).to(dtype)
                of_hidden[rows] = (wrong @ weight).to(hidden.dtype)
                if dtype == torch.float32:
                    of_table.addmm_(wrong.t(), states)
                else:
                    of_table += wrong.t() @ states
        return of_hidden, of_table.to(table.dtype), None, None


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, CHUNK):
        yield slice(start, min(start + CHUNK, count))
