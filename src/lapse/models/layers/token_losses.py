"""Cross-entropy of target tokens against the tied token table, with bounded memory.

Legend: R targets  B rows of the batch  D width  V tokens of the table

The logits of 5,000 targets over 50,257 tokens take 1 GB, and their gradient takes another. Above
`CHUNK` targets, the logits are computed `CHUNK` targets at a time and recomputed in the backward
pass. The gradient of the table is summed in fp32, whatever the precision of the products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lapse.core.types import Sample
from lapse.models.layers.transformer import run_block

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
    # a sum of gradients keeps the precision of the table
    table = table.to(torch.promote_types(table.dtype, torch.float32))
    is_saving = len(targets) > CHUNK
    chunks = zip(torch.split(hidden, CHUNK), torch.split(targets, CHUNK), strict=True)
    parts = [
        run_block(_losses, states, table, chunk, smoothing, is_saving=is_saving)
        for states, chunk in chunks
    ]
    smoothed, plain = map(torch.cat, zip(*parts, strict=True))
    return TokenLosses(smoothed, plain, row)


def _losses(
    hidden: Tensor, table: Tensor, targets: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
    # autocast would convert the table once, and sum the gradients of all chunks in its type
    with torch.autocast(kind, enabled=False):
        logits = F.linear(hidden.to(dtype), table.to(dtype)).float()
    smoothed = F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
    if smoothing == 0.0:
        return smoothed, smoothed.detach()
    return smoothed, F.cross_entropy(logits.detach(), targets, reduction="none")
