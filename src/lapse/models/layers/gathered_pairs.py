"""Pairs of images and texts of all ranks, for contrast over the whole step (BLIP-2).

Legend: b pairs of this rank  B pairs of all ranks  Q queries  E width of the common space

Vectors of other ranks carry no gradient, as in the published program: each rank adds the gradients
of the rows that it computed.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def is_gathering(*, is_training: bool) -> bool:
    """Whether there are other ranks to gather from; validation contrasts within a batch."""
    return is_training and torch.is_grad_enabled() and dist.is_initialized()


def gathered(local: Tensor, pad: int = 0) -> Tensor:
    """The rows of all ranks in their order, without gradient.

    Args:
        local: [b, ...]; the second dimension of 2-D tensors may differ between ranks.
        pad: fills shorter rows.

    Raises:
        ValueError: the ranks have different numbers of rows.
    """
    sizes = [
        torch.zeros(2, dtype=torch.long, device=local.device) for _ in range(dist.get_world_size())
    ]
    width = local.shape[1] if local.dim() == 2 else 0
    dist.all_gather(sizes, torch.tensor([len(local), width], device=local.device))
    counts, widths = zip(*(size.tolist() for size in sizes), strict=True)
    if len(set(counts)) > 1:
        raise ValueError(
            f"the ranks have {list(counts)} pairs: contrast over all ranks needs equal numbers; "
            "choose a train.batch_size that ranks x accumulation steps divides"
        )
    sent = local.detach()
    if local.dim() == 2 and max(widths) > width:
        sent = torch.nn.functional.pad(sent, (0, max(widths) - width), value=pad)
    parts = [torch.empty_like(sent) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, sent.contiguous())
    return torch.cat(parts)
