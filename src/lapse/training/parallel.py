"""A model on the ranks of a run: one process, a copy on each rank (DDP), or sharded (FSDP2).

    ddp    every rank holds all weights; gradients are averaged during the backward pass
    fsdp   every rank holds 1 / N of weights, gradients and optimizer state; the weights of a block
           are gathered when it runs (Zhao et al., 2023; torch.distributed.fsdp.fully_shard)

`full_state` gives an ordinary model with the current weights in all cases. Validation and
checkpoints use it, so a run folder does not depend on the number of ranks.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from lapse.data.loading.batch import Batch
from lapse.models.interface import HasShardedParts, TrainableModel
from lapse.training.distributed import DistributedContext
from lapse.training.optim import full_tensor


class Losses(nn.Module):
    """The model's `loss` as a `forward`, which DDP and FSDP can wrap."""

    def __init__(self, model: TrainableModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of one batch."""
        return self.model.loss(batch)


class ParallelModel:
    """A model on this rank.

    Args:
        model: with its weights; is moved to the device, under "fsdp" as shards.
        distributed: the ranks.
        kind: "ddp" or "fsdp"; unused with one rank.

    Attributes:
        losses: batch -> losses, with the gradients of all ranks.

    Raises:
        ValueError: "fsdp" cannot divide a parameter.
    """

    def __init__(self, model: TrainableModel, distributed: DistributedContext, kind: str) -> None:
        self.model, self.distributed = model, distributed
        self.is_sharded = distributed.world_size > 1 and kind == "fsdp"
        self._full_model = copy.deepcopy(model).to("cpu") if self.is_sharded else model
        self.losses: nn.Module = Losses(model)
        if self.is_sharded:
            self._shard()
            return
        model.to(distributed.device)
        if distributed.world_size > 1:
            # A batch without a parallel row does not use the mask token, so DDP must look for
            # unused parameters. This also keeps its buckets the same from the first step on, which
            # an exact resume needs.
            self.losses = DistributedDataParallel(self.losses, find_unused_parameters=True)

    def _shard(self) -> None:
        """Shard the model on the meta device, then fill the shards with the weights.

        The complete model is never on the device of the rank.
        """
        check_shardable(self.model)
        device = self.distributed.device
        mesh = init_device_mesh(device.type, (self.distributed.world_size,))
        self.model.to("meta")
        for block in blocks_of(self.model):
            fully_shard(block, mesh=mesh)
        fully_shard(self.losses, mesh=mesh)
        self.losses.to_empty(device=device)
        values = _tensors(self._full_model)
        with torch.no_grad():
            for name, shard in _tensors(self.model).items():
                value = values[name].to(device)
                if isinstance(shard, DTensor):  # every rank has the value: nothing is sent
                    value = distribute_tensor(value, mesh, shard.placements, src_data_rank=None)
                shard.copy_(value)

    @contextmanager
    def gradient_sync(self, *, is_last: bool) -> Iterator[None]:
        """One accumulation step; only the last one of a step exchanges gradients."""
        if isinstance(self.losses, FSDPModule):
            self.losses.set_requires_gradient_sync(is_last)
            yield
        elif isinstance(self.losses, DistributedDataParallel) and not is_last:
            with self.losses.no_sync():
                yield
        else:
            yield

    def check_num_batches(self, count: int) -> None:
        """Under fsdp all ranks must run the model equally often, or they would wait forever.

        Raises:
            ValueError: another rank has a different number of batches in this step.
        """
        if not self.is_sharded:
            return
        total, squares = self.distributed.sum([float(count), float(count * count)])
        if squares * self.distributed.world_size != total * total:
            raise ValueError(
                f"rank {self.distributed.rank} has {count} batches in this step and other ranks "
                "have more or fewer (rows of one and of two images): use train.parallel=ddp for "
                "this mix"
            )

    @contextmanager
    def full_state(self) -> Iterator[TrainableModel]:
        """An ordinary model with the current weights, on the device. All ranks must call this."""
        if not self.is_sharded:
            yield self.model
            return
        with torch.no_grad():
            shards = self.model.state_dict()
            for name, target in self._full_model.state_dict().items():
                target.copy_(full_tensor(shards[name]))
        self._full_model.to(self.distributed.device).train(self.model.training)
        try:
            yield self._full_model
        finally:
            self._full_model.to("cpu")


def check_shardable(model: TrainableModel) -> None:
    """Check that `fully_shard` can divide every parameter.

    Raises:
        ValueError: a parameter is a scalar, or two parts of the model share one.
    """
    scalars = {name for name, value in model.named_parameters() if value.dim() == 0}
    names = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    shared = names - dict(model.named_parameters()).keys()
    for kind, found in {"scalar": scalars, "shared by two parts of the model": shared}.items():
        if found:
            raise ValueError(
                f"train.parallel=fsdp cannot divide {len(found)} parameters that are {kind} "
                f"({min(found)}): use train.parallel=ddp"
            )


def _tensors(model: TrainableModel) -> dict[str, Tensor]:
    """Parameters and buffers, also those that `state_dict` omits."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def blocks_of(model: TrainableModel) -> list[nn.Module]:
    """The layers whose weights are gathered one at a time."""
    names = model.sharded_parts if isinstance(model, HasShardedParts) else ()
    parts = [getattr(model, name) for name in names]
    return [block for part in parts for block in getattr(part, "blocks", ())]
