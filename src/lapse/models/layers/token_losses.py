"""Cross-entropy per target token, smoothed for learning and plain for the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class TokenLosses:
    """Of some target tokens.

    Attributes:
        loss: mean, with label smoothing; carries the gradient.
        each: [targets] without smoothing, detached.
        row: [targets], the row of the batch that each belongs to.
    """

    loss: Tensor
    each: Tensor
    row: Tensor

    def named(self, names: Sequence[str]) -> dict[str, Tensor]:
        """What a system's `loss` returns: "loss", "nll" and "loss/<task>".

        Args:
            names: the task of each row of the batch.
        """
        found = {"loss": self.loss, "nll": self.each.mean()}
        for name in dict.fromkeys(names):
            is_of = torch.tensor([name == other for other in names], device=self.row.device)
            chosen = self.each[is_of[self.row]]
            if len(chosen):
                found[f"loss/{name}"] = chosen.mean()
        return found


def token_losses(logits: Tensor, wanted: Tensor, row: Tensor, smoothing: float) -> TokenLosses:
    """Args: logits [targets, V], wanted [targets] rows of the token table, row [targets]."""
    logits = logits.float()
    each = F.cross_entropy(logits.detach(), wanted, reduction="none")
    return TokenLosses(F.cross_entropy(logits, wanted, label_smoothing=smoothing), each, row)
