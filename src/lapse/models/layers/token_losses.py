"""Cross-entropy of target tokens against the tied token table, with bounded memory.

Legend: R targets  B rows of the batch  D width  V tokens of the table

The logits of 5,000 targets over 50,257 tokens take 1 GB, and their gradient takes another. Above
`CHUNK` targets, the logits are computed `CHUNK` targets at a time and recomputed in the backward
pass. The gradient of the table is summed in fp32, whatever the precision of the products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lapse.core.types import Sample

CHUNK = 512


@dataclass(frozen=True, slots=True)
class TokenLosses:
    """The loss of every target token.

    Attributes:
        smoothed: [R] fp32, with label smoothing; carries the gradient.
        plain: [R] fp32, without smoothing, detached.
        row: [R] int64, the row of the batch that each target belongs to.
    """

    smoothed: Tensor
    plain: Tensor
    row: Tensor

    def by_task(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """Mean losses by name, as a model's `loss` returns them.

        Args:
            samples: the rows of the batch.

        Returns:
            "loss", smoothed, with its gradient; "nll" and "loss/<task>", plain and detached.
        """
        losses = {"loss": self.smoothed.mean(), "nll": self.plain.mean()}
        tasks = [sample.task for sample in samples]
        for task in dict.fromkeys(tasks):
            is_of_task = torch.tensor([task == other for other in tasks], device=self.row.device)
            of_task = self.plain[is_of_task[self.row]]
            if len(of_task):
                losses[f"loss/{task}"] = of_task.mean()
        return losses

    def log_probability(self, num_rows: int) -> Tensor:
        """Log-probability of all targets of each row: [B], in nats."""
        return self.plain.new_zeros(num_rows).index_add(0, self.row, -self.plain)


def token_losses(
    hidden: Tensor,
    table: Tensor,
    targets: Tensor,
    row: Tensor,
    smoothing: float = 0.0,
    bias: Tensor | None = None,
) -> TokenLosses:
    """Cross-entropy of each target.

    Args:
        hidden: [R, D], the states that predict the targets.
        table: [V, D], tied embeddings.
        targets: [R] int64, rows of the table.
        row: [R] int64, the row of the batch of each target.
        smoothing: fraction of the target's probability that is spread over all tokens.
        bias: [V], of the output layer.
    """
    if bias is not None:  # one more column of the table, so that the loss is computed in chunks
        hidden = torch.cat([hidden, hidden.new_ones(len(hidden), 1)], dim=1)
        table = torch.cat([table, bias[:, None]], dim=1)
    if len(targets) > CHUNK:
        smoothed, plain = _Chunked.apply(hidden, table, targets, smoothing)  # type: ignore[no-untyped-call]
    else:
        smoothed, plain = _losses(F.linear(hidden, table).float(), targets, smoothing)
    return TokenLosses(smoothed, plain.detach(), row)


def _losses(logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    smoothed = F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
    if smoothing == 0.0:
        return smoothed, smoothed
    return smoothed, F.cross_entropy(logits.detach(), targets, reduction="none")


class _Chunked(torch.autograd.Function):
    """The losses of one chunk after the other; products run in autocast's type where it is on."""

    @staticmethod
    def forward(
        context: Any, hidden: Tensor, table: Tensor, targets: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
        context.save_for_backward(hidden, table, targets)
        context.dtype, context.smoothing = dtype, smoothing
        smoothed, plain = [], []
        with torch.autocast(kind, enabled=False):
            weight = table.to(dtype)
            for chunk in _chunks(len(targets)):
                logits = F.linear(hidden[chunk].to(dtype), weight).float()
                losses = _losses(logits, targets[chunk], smoothing)
                smoothed.append(losses[0])
                plain.append(losses[1])
        all_smoothed, all_plain = torch.cat(smoothed), torch.cat(plain)
        context.mark_non_differentiable(all_plain)
        return all_smoothed, all_plain

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden, table, targets = context.saved_tensors
        gradient, dtype, smoothing = gradients[0], context.dtype, context.smoothing
        of_hidden = torch.empty_like(hidden)
        of_table = torch.zeros(table.shape, dtype=torch.float32, device=table.device)
        with torch.autocast(hidden.device.type, enabled=False):
            weight = table.to(dtype)
            for chunk in _chunks(len(targets)):
                states = hidden[chunk].to(dtype)
                # d loss / d logits: softmax minus the smoothed one-hot target.
                slope = F.linear(states, weight).float().softmax(dim=-1)  # [chunk, V]
                slope.sub_(smoothing / len(table))
                index = targets[chunk, None]
                slope.scatter_add_(1, index, slope.new_full(index.shape, smoothing - 1.0))
                slope = slope.mul_(gradient[chunk, None]).to(dtype)
                of_hidden[chunk] = (slope @ weight).to(hidden.dtype)
                if dtype == torch.float32:
                    of_table.addmm_(slope.t(), states)
                else:
                    of_table += slope.t() @ states
        return of_hidden, of_table.to(table.dtype), None, None


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, CHUNK):
        yield slice(start, min(start + CHUNK, count))
