"""One step of every model on an imitated GPU: `python gpu_replay.py`, prints one JSON object.

A training step (loss, backward pass, clipping) or a beam search runs on the CPU, and the results on
which Python code depends are recorded: numbers, lists, and the shapes of masked selections. Then it
runs on fake tensors of a device "fakegpu", which has no memory and replays these results. Two
devices in one operation are an error, as on a GPU, and every result that the host has to wait for
is counted with its line.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn.functional import one_hot
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

import tiny_models
from lapse.config import GenerationConfig
from lapse.models.layers import token_losses
from lapse.training.optim import clip_gradients

GPU = "fakegpu"
aten = torch.ops.aten
SCALARS = {aten._local_scalar_dense.default, aten.equal.default}
SHAPES = {
    aten.nonzero.default,
    aten.masked_select.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.unique_consecutive.default,
    aten.repeat_interleave.Tensor,
    aten.bincount.default,
}
PUTS = {aten.index_put_.default, aten.index_put.default}
# Torch has no fake kernel for the fused cells of a GPU; this is the number of gates that they keep.
CELLS = {aten._thnn_fused_gru_cell.default: 5, aten._thnn_fused_lstm_cell.default: 4}
STEP = "backward pass, and the losses and the gradient norm as numbers"
NO_ANSWER = {"global_contrastive", "regional_contrastive", "blind"}
HALF = ("linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "conv2d")  # as autocast of CUDA
FULL = ("layer_norm", "_softmax", "_log_softmax", "cross_entropy_loss", "nll_loss")


class Backend(_DummyBackendModule):
    """What torch.autocast asks of a device."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


class Tape:
    """Results in the order of their operations."""

    def __init__(self) -> None:
        self.results: list[Any] = []

    def tolist(self, compute: Callable[[], Any]) -> Any:
        self.results.append(compute())
        return self.results[-1]


class Record(TorchDispatchMode):
    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self.tape = tape

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func in SCALARS:
            self.tape.results.append(result)
        elif func in SHAPES or is_masked(func, args):
            outs = result if isinstance(result, tuple) else (result,)
            self.tape.results.append([(tuple(out.shape), out.dtype) for out in outs])
        return result


class Replay(TorchDispatchMode):
    """Replays a tape on fake tensors and counts what the host waits for, by line."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self.results, self.waits = list(tape.results), Counter[str]()

    def pop(self, *inputs: Any) -> Any:
        if any(isinstance(item, Tensor) and item.device.type == GPU for item in inputs):
            self.count()
        return self.results.pop(0)

    def count(self) -> None:
        frames = [f for f in traceback.extract_stack() if "/lapse/" in f.filename]
        line = f"{frames[-1].filename.rpartition('/')[2]}: {frames[-1].line}" if frames else STEP
        self.waits[line] += 1

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in SCALARS:
            return self.pop(*args)
        if func in SHAPES or is_masked(func, args):
            masks = args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ()
            shapes = self.pop(args[0], *masks)
            if func in PUTS:
                return args[0]
            outs = [torch.empty(s, dtype=kind, device=args[0].device) for s, kind in shapes]
            return tuple(outs) if len(outs) > 1 else outs[0]
        if func in CELLS:
            return fused_cell(func, *args)
        if func in CELLS_BACKWARD:
            return CELLS_BACKWARD[func](*args)
        is_copy = func is aten._to_copy.default and args[0].device.type == GPU
        if is_copy and torch.device((kwargs or {}).get("device") or GPU).type == "cpu":
            self.count()
        return func(*args, **(kwargs or {}))


class Functions(TorchFunctionMode):
    """`tolist` and `torch.tensor`, which do not reach the dispatcher with their values."""

    def __init__(self, tape: Tape | None) -> None:
        super().__init__()
        self.tape = tape

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is Tensor.tolist and self.tape is not None:
            return self.tape.tolist(lambda: func(*args))
        if func is one_hot and self.tape is not None:  # only on a CPU it checks the classes
            num_results = len(self.tape.results)
            result = func(*args, **kwargs)
            del self.tape.results[num_results:]
            return result
        if func is torch.tensor and torch.device(kwargs.get("device") or "cpu").type == GPU:
            device = kwargs.pop("device")
            return on_device(func(*args, **kwargs), device)
        if func is Tensor.new_tensor and args[0].device.type == GPU:
            return on_device(torch.tensor(args[1]).to(args[0].dtype), args[0].device)
        if func is Tensor.__getitem__ and isinstance(args[1], list) and args[0].device.type == GPU:
            return args[0][torch.empty(len(args[1]), dtype=torch.long, device=args[0].device)]
        return func(*args, **kwargs)


def fused_cell(func: Any, gates: Tensor, _hidden_gates: Tensor, state: Tensor, *_: Any) -> Any:
    """The next state, for an LSTM also its cell, and the gates that the backward pass reads."""
    kept = gates.new_empty(len(gates), CELLS[func] * state.shape[1])
    states = [torch.empty_like(state) for _ in range(5 - CELLS[func] + 1)]
    return (*states, kept)


def gru_backward(grad: Tensor, kept: Tensor, has_bias: bool) -> Any:
    gates = grad.new_empty(len(grad), 3 * grad.shape[1])
    bias = gates.new_empty(gates.shape[1]) if has_bias else None
    return gates, torch.empty_like(gates), torch.empty_like(grad), bias, bias


def lstm_backward(grad: Tensor, grad_cell: Tensor, cell: Tensor, new: Tensor, kept: Tensor,
                  has_bias: bool) -> Any:  # fmt: skip
    bias = kept.new_empty(kept.shape[1]) if has_bias else None
    return torch.empty_like(kept), torch.empty_like(cell), bias


CELLS_BACKWARD = {
    aten._thnn_fused_gru_cell_backward.default: gru_backward,
    aten._thnn_fused_lstm_cell_backward_impl.default: lstm_backward,
}


def on_device(value: Tensor, device: torch.device) -> Tensor:
    """A copy; fake tensors of one number hold it, so they cannot be copied as they are."""
    return torch.empty(value.shape, dtype=value.dtype, device=device)


def is_masked(func: object, args: tuple[Any, ...]) -> bool:
    """Whether an index holds a mask, whose number of True values decides a shape."""
    if func is not aten.index.Tensor and func not in PUTS:
        return False
    return any(isinstance(item, Tensor) and item.dtype == torch.bool for item in args[1])


def register_autocast() -> list[torch.library.Library]:
    """Autocast of "fakegpu": matrix products in bf16, reductions in fp32."""
    key = torch._C.DispatchKey.AutocastPrivateUse1
    exclude = torch._C.DispatchKeySet(key)
    fallback = torch.library.Library("_", "IMPL")
    fallback.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    library = torch.library.Library("aten", "IMPL")

    def casting(packet: Any, dtype: torch.dtype) -> Callable[..., Any]:
        def cast(value: Any) -> Any:
            is_float = isinstance(value, Tensor) and value.is_floating_point()
            return value.to(dtype) if is_float and value.device.type == GPU else value

        def call(*args: Any, **kwargs: Any) -> Any:
            with torch._C._ExcludeDispatchKeyGuard(exclude):
                return packet(*map(cast, args), **{k: cast(v) for k, v in kwargs.items()})

        return call

    for names, dtype in ((HALF, torch.bfloat16), (FULL, torch.float32)):
        for name in names:
            packet = getattr(aten, name)
            overload = "int" if name.endswith("softmax") and hasattr(packet, "int") else "default"
            if overload in packet.overloads():
                call = casting(getattr(packet, overload), dtype)
                library.impl(getattr(packet, overload), call, "AutocastPrivateUse1")
    return [fallback, library]


@contextmanager
def autocast(device: str, is_half: bool) -> Iterator[None]:
    torch.set_autocast_enabled(device, is_half)
    torch.set_autocast_dtype(device, torch.bfloat16)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        torch.autocast_decrement_nesting()
        torch.clear_autocast_cache()
        torch.set_autocast_enabled(device, False)


def on_gpu(model: nn.Module, batch: Any) -> tuple[nn.Module, Any]:
    """A model, which is changed, and a batch on the imitated GPU."""

    def empty(value: Tensor) -> Tensor:
        return torch.empty(value.shape, dtype=value.dtype, device=GPU)

    for module in model.modules():
        for name, value in module._parameters.items():
            if value is not None:
                module._parameters[name] = nn.Parameter(empty(value), value.requires_grad)
        for name, value in module._buffers.items():
            if value is not None:
                module._buffers[name] = empty(value)
    fields = {name: getattr(batch, name) for name in batch.__dataclass_fields__}
    tensors = {name: empty(v) for name, v in fields.items() if isinstance(v, Tensor)}
    return model, replace(batch, **tensors)


def step(model: Any, batch: Any, kind: str) -> Any:
    if kind == "loss":
        losses = model.loss(batch)
        # Fake tensors and the modes of this file work in this thread only.
        with torch.autograd.set_multithreading_enabled(False):
            losses["loss"].backward()
        norm = clip_gradients(model, 1.0)
        torch.stack([*(loss.detach().float() for loss in losses.values()), norm]).tolist()
        return losses
    with torch.no_grad():
        return model.answer(batch, GenerationConfig(num_beams=2, max_new_tokens=4))


def replay(table: str, name: str, kind: str, is_half: bool) -> dict[str, Any]:
    """The waits of one step by line, and the devices and types of its losses."""
    token_losses.CHUNK = 4 if is_half else 512  # with and without chunks of logits
    _, model, batch = tiny_models.build(table, name)
    model.train(kind == "loss")
    tape = Tape()
    with autocast("cpu", is_half), Functions(tape), Record(tape):
        expected = step(model, batch, kind)
    player = Replay(tape)
    FakeTensor.tolist = lambda self: player.pop(self)
    with FakeTensorMode():
        model, batch = on_gpu(*tiny_models.build(table, name)[1:])
        model.train(kind == "loss")
        with autocast(GPU, is_half), Functions(None), player:
            out = step(model, batch, kind)
    assert player.results == [], "the step on the GPU took another path"
    if kind == "loss":
        assert out.keys() == expected.keys()
        assert {value.device.type for value in out.values()} <= {GPU}, out
    return dict(player.waits)


if __name__ == "__main__":
    _setup_privateuseone_for_python_backend(rename=GPU, backend_module=Backend())
    libraries = register_autocast()
    waits, errors = {}, {}
    for table, name in tiny_models.TINY:
        for kind in ("loss", "answer"):
            if (name in NO_ANSWER and kind == "answer") or name not in (sys.argv[1:] or [name]):
                continue
            for is_half in (False, True):
                case = f"{name if table == 'vqa' else f'pretrain {name}'} {kind}"
                case += " bf16" if is_half else ""
                try:
                    waits[case] = replay(table, name, kind, is_half)
                except Exception as error:
                    frames = traceback.extract_tb(error.__traceback__)
                    lines = [f"{f.filename}:{f.lineno}" for f in frames]
                    errors[case] = f"{type(error).__name__} at {lines[-2:]}: {error}"
                sys.stderr.write(f"{case}: {errors.get(case, 'done')}\n")
    json.dump({"waits": waits, "errors": errors}, sys.stdout, indent=1)
    sys.stdout.flush()
    os._exit(0)  # the threads of the imitated device cannot be joined
