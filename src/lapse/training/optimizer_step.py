"""One optimizer step: gradients of the mean over all loss tokens of the step, clip, AdamW.

The mean covers ranks and accumulation steps. The learning rate and the dropout of step k are
functions of k. A loss or gradient that is not finite ends the run before it changes the weights.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from lapse.config import RunConfig
from lapse.core.seeding import derive_seed
from lapse.data.loading.batch import Batch
from lapse.data.loading.batch_stream import BalancedBatchStream
from lapse.models.interface import FollowsSteps, HasLossParts
from lapse.training.distributed import autocast
from lapse.training.optim import clip_gradients, learning_rate, set_learning_rate
from lapse.training.parallel import ParallelModel

WeightedLoss = tuple[str, Tensor, float]  # name, mean, and the weight of that mean


@dataclass(frozen=True, slots=True)
class StepResult:
    """The losses of one step on all ranks.

    Attributes:
        sums: for each loss name the weighted sum, and for "name#" the sum of the weights.
        gradient_norm: before clipping.
        is_stopping: whether any rank got a stop signal.
    """

    sums: dict[str, float]
    gradient_norm: float
    is_stopping: bool


class OptimizerStep:
    """Runs the optimizer steps of a run.

    Args:
        config: the run, with a resolved precision.
        stream: the training batches; gives the number of steps and the names of the tasks.
        parallel: the model on this rank.
        optimizer: of its trained parameters.

    Attributes:
        loss_names: "loss", one name per task, and one per part of the model's loss.
    """

    def __init__(
        self,
        config: RunConfig,
        stream: BalancedBatchStream,
        parallel: ParallelModel,
        optimizer: Optimizer,
    ) -> None:
        self.config, self.parallel, self.optimizer = config, parallel, optimizer
        self.model, self.distributed = parallel.model, parallel.distributed
        self.total_steps = stream.total_steps
        tasks = tuple(f"loss/{name}" for name in dict.fromkeys(stream.task_names))
        parts = self.model.loss_parts if isinstance(self.model, HasLossParts) else ()
        self.loss_parts = tuple(f"loss/{part}" for part in parts)
        self.loss_names = ("loss", *tasks, *self.loss_parts)

    def run(self, step: int, batches: tuple[Batch, ...], stop: threading.Event) -> StepResult:
        """Change the weights by the batches of a step.

        Args:
            step: number of finished steps.
            batches: of this rank.
            stop: set by a stop signal.

        Raises:
            ValueError: a loss or the gradient is not finite; names the samples.
        """
        torch.manual_seed(
            derive_seed(self.config.train.seed, "dropout", step, self.distributed.rank)
        )
        if isinstance(self.model, FollowsSteps):
            self.model.start_step(step)
        set_learning_rate(self.optimizer, learning_rate(self.config.optim, step, self.total_steps))
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.backward(batches)
        gradient_norm = clip_gradients(self.model, self.config.optim.clip_norm)

        *values, norm = torch.stack([*(loss for _, loss, _ in losses), gradient_norm]).tolist()
        sums = dict.fromkeys((*self.loss_names, *(f"{name}#" for name in self.loss_names)), 0.0)
        for (name, _, weight), value in zip(losses, values, strict=True):
            sums[name] += value * weight
            sums[f"{name}#"] += weight
        *totals, num_stopped = self.distributed.sum([*sums.values(), float(stop.is_set())])
        if not all(math.isfinite(value) for value in (*totals, norm)):
            raise ValueError(_not_finite_message(step, batches, losses, norm))
        self.optimizer.step()
        return StepResult(dict(zip(sums, totals, strict=True)), norm, num_stopped > 0)

    def backward(self, batches: tuple[Batch, ...]) -> list[WeightedLoss]:
        """Add up the gradients of the mean loss of the step; returns the losses of this rank.

        With `data.second_tasks` it is the sum of the means of both batches.
        """
        weights = [float(self.model.weight(batch)) for batch in batches]
        sums = [0.0, 0.0]  # of the first and the second batch of the step
        for batch, weight in zip(batches, weights, strict=True):
            sums[batch.part] += weight
        total_weights = self.distributed.sum(sums)
        self.parallel.check_num_batches(len(batches))
        device, world_size = self.distributed.device, self.distributed.world_size
        weighted_losses: list[WeightedLoss] = []
        for index, (batch, weight) in enumerate(zip(batches, weights, strict=True)):
            with self.parallel.gradient_sync(is_last=index + 1 == len(batches)):
                with autocast(device, self.config.train.precision):
                    losses = self.parallel.losses(batch.to(device))
                # DDP and FSDP average over the ranks, hence the factor world_size.
                scale = weight / total_weights[batch.part] * world_size
                (losses["loss"] * scale).backward()
            weighted_losses += _losses_by_task(batch, losses, weight)
            weighted_losses += [
                (part, losses[part].detach().float(), weight) for part in self.loss_parts
            ]
        return weighted_losses


def _losses_by_task(
    batch: Batch, losses: dict[str, Tensor], weight: float
) -> Iterator[WeightedLoss]:
    """The loss of a batch, and of each of its tasks where it is known."""
    yield "loss", losses["loss"].detach().float(), weight
    num_targets = batch.loss_mask.sum(1).tolist()
    tasks = [sample.task for sample in batch.samples]
    for task in dict.fromkeys(tasks):
        if f"loss/{task}" in losses:
            counts = (count for name, count in zip(tasks, num_targets, strict=True) if name == task)
            yield f"loss/{task}", losses[f"loss/{task}"].detach().float(), float(sum(counts))
        elif len(set(tasks)) == 1:
            yield f"loss/{task}", losses["loss"].detach().float(), weight


def _not_finite_message(
    step: int, batches: tuple[Batch, ...], losses: list[WeightedLoss], norm: float
) -> str:
    names = [name for name, value, _ in losses if not math.isfinite(float(value))]
    what = ", ".join(dict.fromkeys(names)) or f"gradient norm {norm} (or another rank's loss)"
    ids = [sample.id for batch in batches for sample in batch.samples]
    shown = ", ".join(ids[:64]) + (f" and {len(ids) - 64} more" if len(ids) > 64 else "")
    return (
        f"step {step + 1}: {what} is not finite; the weights were not changed and nothing was "
        f"saved. Samples of the step: {shown}. Lower optim.learning_rate or inspect these samples"
    )
