"""How a model stands on the ranks of a run: alone, a copy each (DDP), or a share each (FSDP2).

    ddp    every rank holds all weights; gradients are averaged while the backward pass runs
    fsdp   every rank holds 1 / N of weights, gradients and optimizer state; a block's weights are
           gathered when it runs (Zhao et al., 2023; torch.distributed.fsdp.fully_shard)

Whatever the kind, `whole` is an ordinary model with the current weights: held-out losses and
checkpoints use that one, so a run folder looks the same and opens without any rank.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from lapse.data.loading.batch import Batch
from lapse.models.interface import HasShardedParts
from lapse.training.distributed import DistributedContext
from lapse.training.optim import whole


class Losses(nn.Module):
    """The model's `loss` as a forward, which is what DDP and FSDP can wrap."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of one batch."""
        losses: dict[str, Tensor] = self.model.loss(batch)
        return losses


class ParallelModel:
    """A model on this rank.

    Args:
        model: with its weights, on the device; under "fsdp" its parameters become shares.
        world: the ranks.
        kind: "ddp" or "fsdp"; with one rank there is nothing to spread.

    Attributes:
        losses: call it with a batch for the losses whose gradients count.
    """

    def __init__(self, model: Any, world: DistributedContext, kind: str) -> None:
        self.model, self.world = model, world
        self.is_sharded = world.size > 1 and kind == "fsdp"
        self._copy: Any = copy.deepcopy(model).cpu() if self.is_sharded else None
        self.losses: nn.Module = Losses(model)
        if self.is_sharded:
            mesh = init_device_mesh(world.device.type, (world.size,))
            for block in blocks_of(model):
                fully_shard(block, mesh=mesh)
            fully_shard(self.losses, mesh=mesh)
        elif world.size > 1:
            # A batch without a parallel row leaves the mask token unused, so unused ones are
            # looked for; that also keeps DDP's buckets the same from the first step on, which
            # resuming needs.
            self.losses = DistributedDataParallel(self.losses, find_unused_parameters=True)

    @contextmanager
    def gathering(self, *, is_last: bool) -> Iterator[None]:
        """One accumulation step; only the last one exchanges gradients."""
        if isinstance(self.losses, FSDPModule):
            self.losses.set_requires_gradient_sync(is_last)
            yield
        elif isinstance(self.losses, DistributedDataParallel) and not is_last:
            with self.losses.no_sync():
                yield
        else:
            yield

    def check_pieces(self, count: int) -> None:
        """Under fsdp all ranks must run the model equally often, or they would wait for ever.

        Raises:
            ValueError: another rank has another number of batches in this step.
        """
        if not self.is_sharded:
            return
        total, squares = self.world.sum([float(count), float(count * count)])
        if squares * self.world.size != total * total:
            raise ValueError(
                f"rank {self.world.rank} has {count} batches in this step and others have more or "
                "fewer (rows of one and of two images): use train.parallel=ddp for this mix"
            )

    @contextmanager
    def whole(self) -> Iterator[Any]:
        """An ordinary model with the present weights, on the device; every rank must come."""
        if not self.is_sharded:
            yield self.model
            return
        with torch.no_grad():
            mine = self.model.state_dict()
            for name, target in self._copy.state_dict().items():
                target.copy_(whole(mine[name]))
        self._copy.to(self.world.device).train(self.model.training)
        try:
            yield self._copy
        finally:
            self._copy.cpu()


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The layers whose weights are gathered one at a time."""
    names = model.sharded_parts if isinstance(model, HasShardedParts) else ()
    parts = [model.get_submodule(name) for name in names]
    return [block for part in parts for block in getattr(part, "blocks", ())]
