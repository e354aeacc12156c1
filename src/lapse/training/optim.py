"""AdamW, its learning rate schedule, and its state, which makes an exact resume possible.

Paper 4.3 and 4.4: AdamW, linear warm-up, then cosine to zero; other schedules serve the compared
systems. The learning rate is a pure
function of the step, so no scheduler state is saved. Weight decay acts on every
parameter of two or more dimensions (matrices, convolutions and the embedding tables, which are
also the output matrix when tied); gains, biases and other vectors do not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from lapse.config import OptimConfig
from lapse.models.interface import TrainableModel

FUSED_DEVICES = ("cpu", "cuda")
Module: TypeAlias = nn.Module | TrainableModel  # the functions here need its parameters only


def trained_parameters(model: Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Names and parameters that training changes, in the order of the model."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield name, parameter


def parameter_groups(model: Module, config: OptimConfig) -> list[dict[str, Any]]:
    """Matrices, which decay; vectors, which do not; and scalars, if they have a rate of their own.

    Frozen parameters are absent. `rate_scale` of a group multiplies the scheduled rate.
    """
    trained = [parameter for _, parameter in trained_parameters(model)]
    smallest = 0 if config.scalar_learning_rate is None else 1
    vectors = [p for p in trained if smallest <= p.dim() < 2]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    if config.scalar_learning_rate is not None:
        scale = config.scalar_learning_rate / config.learning_rate
        scalars = [p for p in trained if p.dim() == 0]
        groups.append({"params": scalars, "weight_decay": 0.0, "rate_scale": scale})
    return [group for group in groups if group["params"]]


def build_optimizer(model: Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over the trained parameters; the fused kernel if every device has one.

    Raises:
        ValueError: nothing in the model is trained.
    """
    groups = parameter_groups(model, config)
    if not groups:
        raise ValueError("the model has no trained parameter: unfreeze a part of it")
    devices = {parameter.device.type for group in groups for parameter in group["params"]}
    return torch.optim.AdamW(
        groups,
        lr=config.learning_rate,
        betas=config.betas,
        fused=devices <= set(FUSED_DEVICES),
    )


def warmup_steps(config: OptimConfig, total: int) -> int:
    """Steps of linear warm-up in a run of `total` steps (a fraction is rounded up)."""
    if config.warmup_steps is not None:
        return config.warmup_steps
    return math.ceil((config.warmup_fraction or 0.0) * total)


def learning_rate(config: OptimConfig, step: int, total: int) -> float:
    """The rate of step 0 .. total - 1: linear warm-up, then the schedule.

    >>> config = OptimConfig(learning_rate=1.0, warmup_steps=2)
    >>> [round(learning_rate(config, step, 6), 3) for step in range(6)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    warm = warmup_steps(config, total)
    if step < warm:
        start = config.warmup_start_learning_rate
        return start + (config.learning_rate - start) * (step + 1) / warm
    if config.schedule == "constant":
        return config.learning_rate
    fraction = min(1.0, (step - warm) / max(1, total - warm))
    span, end = config.learning_rate - config.end_learning_rate, config.end_learning_rate
    if config.schedule == "polynomial":
        return end + span * (1.0 - fraction)
    return end + span * 0.5 * (1.0 + math.cos(math.pi * fraction))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group the scheduled rate, times the group's own scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate_scale", 1.0)


def clip_gradients(model: Module, limit: float | None) -> Tensor:
    """Scale the gradients down to norm `limit` (None: no limit); returns the norm before."""
    parameters = [parameter for _, parameter in trained_parameters(model)]
    return full_tensor(nn.utils.clip_grad_norm_(parameters, math.inf if limit is None else limit))


def full_tensor(tensor: Tensor) -> Tensor:
    """A sharded tensor, gathered from all ranks, which must all call this; others unchanged."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def optimizer_tensors(
    model: Module, optimizer: torch.optim.Optimizer, *, is_kept: bool = True
) -> dict[str, Tensor]:
    """The optimizer's state as named tensors, "exp_avg/<parameter>" and so on.

    A parameter without a step has no state and no entry.

    Args:
        model, optimizer: whose state.
        is_kept: False takes part in gathering the shards and returns nothing.
    """
    tensors = {}
    for name, parameter in trained_parameters(model):
        for key, value in optimizer.state.get(parameter, {}).items():
            full = full_tensor(value)
            if is_kept:
                tensors[f"{key}/{name}"] = full.cpu() if isinstance(value, DTensor) else full
    return tensors


def load_optimizer_tensors(
    model: Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Restore what `optimizer_tensors` returned; tensors move to their parameter's device.

    Raises:
        ValueError: a tensor belongs to no trained parameter, or has a different shape.
    """
    parameters = dict(trained_parameters(model))
    restored: dict[Tensor, dict[str, Tensor]] = {}
    for full_name, tensor in tensors.items():
        key, _, name = full_name.partition("/")
        if name not in parameters:
            raise ValueError(
                f"the optimizer state holds {full_name!r}, but {name!r} is not a trained "
                "parameter of this model: resume with the configuration that wrote it"
            )
        parameter = parameters[name]
        if tensor.dim() and tensor.shape != parameter.shape:
            raise ValueError(
                f"the optimizer state {full_name!r} has shape {tuple(tensor.shape)}, its "
                f"parameter {tuple(parameter.shape)}"
            )
        moved = tensor.to(parameter.device, copy=True)
        if isinstance(parameter, DTensor) and moved.dim():
            moved = distribute_tensor(moved, parameter.device_mesh, parameter.placements)
        restored.setdefault(parameter, {})[key] = moved
    optimizer.state.clear()
    optimizer.state.update(restored)
