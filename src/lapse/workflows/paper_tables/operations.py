"""Operations and memory of one training step, counted without computing the step.

    model and batch --counter--> matrix products are counted by their shapes and give zeros
                                 large elementwise results are zeros too; the rest is computed

A product of [m, k] and [k, n] has 2 m k n operations; its backward pass has as many for each factor
that needs a gradient. So a frozen encoder counts once, a frozen language model behind trained
layers twice, a trained layer three times. Causal attention counts as half. Elementwise operations
are not counted (under 1%). A zero result is one number with the shape of the whole, and weights are
not drawn, so a model of the paper's size needs little memory and a few seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lapse.data.loading.batch import Batch
from lapse.models.interface import TrainableModel

LARGE = 1 << 16  # elements; smaller tensors are drawn and computed as always
_INITIALIZERS = frozenset(("normal_", "uniform_", "trunc_normal_", "kaiming_uniform_"))
_PRODUCTS = frozenset((torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm))
# Functions of one tensor whose result has its shape; the backward pass reads one such tensor.
_SAME_SHAPE = frozenset(
    (F.gelu, F.relu, F.layer_norm, F.softmax, torch.softmax, Tensor.softmax, F.dropout)
)
_CELLS = ("lstm_cell", "gru_cell")  # computed and counted
_SUMS = frozenset((torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__, Tensor.__iadd__))


@dataclass(frozen=True, slots=True)
class StepCost:
    """What one step costs.

    Attributes:
        operations: forward and backward.
        frozen_encoder: the part of `operations` in the frozen encoder, which cached features save.
        saved_bytes: tensors that the forward pass keeps for the backward pass, in fp32.
    """

    operations: float
    frozen_encoder: float
    saved_bytes: float


class UndrawnWeights(TorchFunctionMode):
    """While active, large tensors are not initialized, so that they take no memory."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if getattr(func, "__name__", "") in _INITIALIZERS:
            tensor = args[0] if args else options["tensor"]
            if tensor.numel() > LARGE:
                return tensor
        return func(*args, **options)


class OperationCounter(TorchFunctionMode):
    """While active, matrix products are counted instead of computed.

    Attributes:
        operations: of all products so far, with their backward pass.
        saved_bytes: of the tensors that are kept for the backward pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0.0
        self.saved_bytes = 0.0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if func is F.linear:
            return self._linear(args, options)
        if func in _PRODUCTS:
            return self._product(args[0], args[1])
        if func is F.scaled_dot_product_attention:
            return self._attention(*args[:3], is_causal=bool(options.get("is_causal")))
        if func is F.conv2d:
            return self._convolution(func, args, options)
        if func is torch.einsum:
            sizes = _einsum_sizes(args[0], args[1:])
            self._add(2.0 * math.prod(sizes.values()), args[1:])
        if getattr(func, "__name__", "") in _CELLS:
            weights = [item for item in args if isinstance(item, nn.Parameter) and item.dim() == 2]
            self._add(2.0 * len(args[0]) * sum(item.numel() for item in weights), args)
        if func in _SAME_SHAPE and _is_large(args[0]):
            return self._result(args[0].shape, 0.0, args[:1])
        if func in _SUMS and _is_large(args[0]) and isinstance(args[1], Tensor):
            shape = np.broadcast_shapes(args[0].shape, args[1].shape)
            return self._result(shape, 0.0, (), args[:2])
        return func(*args, **options)

    def _linear(self, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        x, weight = args[0], args[1]
        bias = args[2] if len(args) > 2 else options.get("bias")
        shape = (*x.shape[:-1], weight.shape[0])
        return self._result(shape, 2.0 * x.numel() * weight.shape[0], (x, weight), (bias,))

    def _product(self, left: Tensor, right: Tensor) -> Tensor:
        """[..., m, k] x [..., k, n]; the leading dimensions may be broadcast."""
        leading = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        m, k, n = left.shape[-2], left.shape[-1], right.shape[-1]
        count = 2.0 * math.prod(leading) * m * k * n
        return self._result((*leading, m, n), count, (left, right))

    def _attention(self, query: Tensor, key: Tensor, value: Tensor, *, is_causal: bool) -> Tensor:
        rows = math.prod(query.shape[:-1]) * key.shape[-2]
        count = 2.0 * rows * (query.shape[-1] + value.shape[-1]) * (0.5 if is_causal else 1.0)
        shape = (*query.shape[:-1], value.shape[-1])
        return self._result(shape, count, (query, key, value))

    def _convolution(
        self, func: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]
    ) -> Tensor:
        x, weight = args[0], args[1]
        with torch.device("meta"), torch._C.DisableTorchFunction():
            moved = [item.to("meta") if isinstance(item, Tensor) else item for item in args]
            named = {
                key: item.to("meta") if isinstance(item, Tensor) else item
                for key, item in options.items()
            }
            shape = func(*moved, **named).shape
        return self._result(shape, 2.0 * math.prod(shape) * weight[0].numel(), (x, weight))

    def _result(
        self,
        shape: Sequence[int],
        count: float,
        factors: Sequence[Tensor],
        others: Sequence[Tensor | None] = (),
    ) -> Tensor:
        """Zeros of a shape that need a gradient where an input does."""
        self._add(count, factors)
        inputs = [item for item in (*factors, *others) if item is not None]
        is_needed = torch.is_grad_enabled() and any(item.requires_grad for item in inputs)
        for item in factors if is_needed else ():
            self.keep(item)
        return torch.zeros(1).expand(tuple(shape)).requires_grad_(is_needed)

    def _add(self, count: float, factors: Sequence[object]) -> None:
        """Count a product, and its backward pass for the factors that need a gradient."""
        needs = [item.requires_grad for item in factors if isinstance(item, Tensor)]
        num_needed = min(2, sum(needs)) if torch.is_grad_enabled() else 0
        self.operations += count * (1 + num_needed)

    def keep(self, tensor: Tensor) -> None:
        """Count a tensor that the backward pass reads."""
        if not isinstance(tensor, nn.Parameter):
            self.saved_bytes += tensor.numel() * tensor.element_size()


def count_step(model: TrainableModel, batches: Sequence[Batch]) -> StepCost:
    """The cost of the loss of batches and of its backward pass.

    Args:
        model: on the CPU, built under `UndrawnWeights`; in training mode.
    """
    counter = OperationCounter()
    encoder = getattr(model, "encoder", None)
    starts: list[float] = []
    frozen = 0.0

    def before(*_: object) -> None:
        starts.append(counter.operations)

    def after(*_: object) -> None:
        nonlocal frozen
        frozen += counter.operations - starts.pop()

    hooks = []
    if isinstance(encoder, nn.Module) and not any(p.requires_grad for p in encoder.parameters()):
        hooks = [encoder.register_forward_pre_hook(before), encoder.register_forward_hook(after)]
    try:
        with counter, torch.autograd.graph.saved_tensors_hooks(counter.keep, _no_backward):
            for batch in batches:
                model.loss(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return StepCost(counter.operations, frozen, counter.saved_bytes)


def _is_large(tensor: Tensor) -> bool:
    """Whether a result is not computed; indices always are."""
    return tensor.numel() > LARGE and tensor.is_floating_point()


def _no_backward(_: object) -> Tensor:
    raise AssertionError("a counted step has no backward pass")


def _einsum_sizes(equation: str, operands: Sequence[Tensor]) -> dict[str, int]:
    """Index -> size, for an equation without "..."."""
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    return {
        index: size
        for term, operand in zip(terms, operands, strict=True)
        for index, size in zip(term, operand.shape, strict=True)
    }
