"""The sigmoid loss of SigLIP (Zhai et al., 2023), in tiles over ranks.

Legend: b pairs of this rank  B pairs of all ranks  E width of the common space

    loss = 1/B sum over i, j of log(1 + exp(-z_ij (t x_i . y_j + c)))    z_ij = 1 if i = j else -1

The B x B table is never stored. The texts travel around the ring of ranks together with their
gradients; each rank adds the tiles of its own images and passes them on. After as many hops as
there are ranks, each block is back at its rank:

    rank 0: images 0 x texts 0 | x texts 1 | x texts 2      memory: one tile of at most
    rank 1: images 1 x texts 1 | x texts 2 | x texts 0      TILE x TILE numbers, and b x E
    rank 2: images 2 x texts 2 | x texts 0 | x texts 1

Gradients are computed with the loss, tile by tile, so that the backward pass needs neither the
tiles nor a second round of communication.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

TILE = 1024


class SigmoidLoss(nn.Module):
    """Learned temperature t (kept as its logarithm) and bias c.

    Args:
        temperature, bias: initial values of t and c. SigLIP starts at 10 and -10, where the many
            negatives cost little.
        ignores_identical: ignore combinations (i, j) that are not pairs but whose texts have
            equal keys.
    """

    def __init__(self, temperature: float, bias: float, *, ignores_identical: bool) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))
        self.bias = nn.Parameter(torch.tensor(float(bias)))
        self.ignores_identical = ignores_identical

    def log_values(self, rows: int) -> dict[str, Tensor]:
        """Temperature, bias, and the smallest loss of vectors without information."""
        negatives = max(1, rows - 1)
        chance = math.log(rows) + negatives * math.log1p(1.0 / negatives) if rows > 1 else 0.0
        return {
            "loss/chance": torch.tensor(chance, device=self.bias.device),
            "loss/temperature": self.log_temperature.detach().exp(),
            "loss/bias": self.bias.detach().clone(),
        }

    def forward(self, images: Tensor, texts: Tensor, keys: Tensor) -> Tensor:
        """Mean loss per image of this rank, against the texts of all ranks while training.

        Evaluation contrasts within the batch, so that ranks may then read unequal numbers of
        batches.

        Args:
            images, texts: [b, E] vectors of length one; row i of both is a pair.
            keys: [b] int64, equal where two texts are the same.

        Returns:
            a scalar. Times b, summed over ranks and divided by B it is the loss above; so are
            the gradients.
        """
        is_learning = torch.is_grad_enabled()
        is_shared = self.training and is_learning and dist.is_initialized()
        if not self.ignores_identical:
            keys = torch.full_like(keys, -1)
        with torch.autocast(images.device.type, enabled=False):
            loss: Tensor = _Tiles.apply(  # type: ignore[no-untyped-call]
                images.float(),
                texts.float(),
                self.log_temperature.exp(),
                self.bias,
                _Mode(keys, is_learning, is_shared, self.ignores_identical),
            )
        return loss


@dataclass(frozen=True, slots=True)
class _Mode:
    keys: Tensor
    is_learning: bool
    is_shared: bool
    ignores_identical: bool


@dataclass(slots=True)
class _Block:
    """Texts that travel around the ring: [n, E], their indices and keys, and their gradients."""

    texts: Tensor
    indices: Tensor
    keys: Tensor
    gradient: Tensor

    def exchanged(self, count: int) -> _Block:
        """Send this block to the previous rank and receive `count` texts from the next one."""
        rank, size = dist.get_rank(), dist.get_world_size()
        previous, following = (rank - 1) % size, (rank + 1) % size
        sent = (self.texts, self.indices, self.keys, self.gradient)
        received = [part.new_empty((count, *part.shape[1:])) for part in sent]
        operations = [
            dist.P2POp(dist.isend, part.contiguous(), previous, tag=tag)
            for tag, part in enumerate(sent)
        ]
        operations += [
            dist.P2POp(dist.irecv, part, following, tag=tag) for tag, part in enumerate(received)
        ]
        for request in dist.batch_isend_irecv(operations):
            request.wait()
        return _Block(*received)


class _Tiles(torch.autograd.Function):
    """Loss and gradients over all tiles of this rank's images."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        texts: Tensor,
        temperature: Tensor,
        bias: Tensor,
        mode: _Mode,
    ) -> Tensor:
        keys = mode.keys
        counts = _counts(len(images), images.device) if mode.is_shared else [len(images)]
        rank = dist.get_rank() if mode.is_shared else 0
        indices = torch.arange(len(images), device=images.device) + sum(counts[:rank])
        block = _Block(texts, indices, keys, torch.zeros_like(texts))
        sums = torch.zeros(3, device=images.device)  # loss, d/dt, d/dc
        gradient = torch.zeros_like(images)
        for hop in range(len(counts)):
            for low in range(0, len(images), TILE):
                rows = slice(low, low + TILE)
                for start in range(0, len(block.texts), TILE):
                    columns = slice(start, start + TILE)
                    is_pair = indices[rows, None] == block.indices[None, columns]
                    is_ignored = None
                    if mode.ignores_identical:
                        is_ignored = (keys[rows, None] == block.keys[None, columns]) & ~is_pair
                    similarity = images[rows] @ block.texts[columns].t()
                    logits = similarity * temperature + bias
                    slope = _add_tile(sums, similarity, logits, is_pair, is_ignored)
                    if mode.is_learning:
                        gradient[rows].addmm_(slope, block.texts[columns])
                        block.gradient[columns].addmm_(slope.t(), images[rows])
            if len(counts) > 1:
                block = block.exchanged(counts[(rank + hop + 1) % len(counts)])
        scale = 1.0 / len(images)
        if mode.is_learning:
            ctx.save_for_backward(
                gradient.mul_(temperature * scale),
                block.gradient.mul_(temperature * scale),
                sums[1] * scale,
                sums[2] * scale,
            )
        return sums[0] * scale

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of `forward`, times the incoming gradient."""
        return (*(part * outer[0] for part in ctx.saved_tensors), None)


def _add_tile(
    sums: Tensor, similarity: Tensor, logits: Tensor, is_pair: Tensor, is_ignored: Tensor | None
) -> Tensor:
    """Add a tile's loss and its derivatives in t and c; returns d loss / d logit."""
    losses = F.softplus(torch.where(is_pair, -logits, logits))
    slope = logits.sigmoid() - is_pair.float()
    if is_ignored is not None:
        losses = losses.masked_fill(is_ignored, 0.0)
        slope = slope.masked_fill(is_ignored, 0.0)
    sums[0] += losses.sum()
    sums[1] += (slope * similarity).sum()
    sums[2] += slope.sum()
    return slope


def _counts(count: int, device: torch.device) -> list[int]:
    """The number of pairs of each rank."""
    counts = [torch.zeros(1, dtype=torch.long, device=device) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, torch.tensor([count], device=device))
    return [int(part) for part in counts]
