"""Weights of a model as safetensors: reading them runs no code, and damaged files are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lapse.core.files import usual_mode
from lapse.training.optim import Module

# Names of types in a safetensors header
FLOATS = ("F32", "F16", "BF16")
DTYPES = {torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL"}


def save_weights(path: Path, model: Module) -> None:
    """Write a model's tensors. Tied tensors are written once, under their first name."""
    write_tensors(path, distinct_tensors(model))


def load_weights(path: Path, model: Module) -> None:
    """Read a model's tensors in place. Nothing is changed unless all tensors fit.

    Raises:
        ValueError: the file is damaged, or a name, shape or dtype differs from the model's.
    """
    targets = distinct_tensors(model)
    check_header(path, targets)
    tensors = read_tensors(path)
    for name, target in targets.items():
        if tensors[name].dtype != target.dtype:
            raise ValueError(f"{path}: {name} is {tensors[name].dtype}, not {target.dtype}")
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(tensors[name])


def check_header(path: Path, expected: Mapping[str, Tensor]) -> None:
    """Compare names, types and shapes in a file's header with tensors; no weight is read.

    Args:
        path: a safetensors file.
        expected: name -> a tensor of the model, which may be on the meta device. Floating weights
            may have 16 or 32 bits, all others exactly the type of the model.

    Raises:
        ValueError: a tensor is missing, unknown, or of another shape or kind.
    """
    with opened(path) as file:
        names = set(file.keys())
        missing, unknown = sorted(expected.keys() - names), sorted(names - expected.keys())
        if missing or unknown:
            raise ValueError(
                f"{path} does not fit the model: missing {_shorten(missing)}; "
                f"unknown {_shorten(unknown)}"
            )
        for name, target in expected.items():
            part = file.get_slice(name)
            shape, dtype = tuple(part.get_shape()), part.get_dtype()
            accepted = FLOATS if target.is_floating_point() else (DTYPES[target.dtype],)
            if shape != tuple(target.shape) or dtype not in accepted:
                raise ValueError(
                    f"{path}: {name} is {dtype} {shape}, the model needs {' or '.join(accepted)} "
                    f"{tuple(target.shape)}"
                )


class Slice(Protocol):
    """One tensor of a file, before it is read."""

    def get_shape(self) -> list[int]: ...

    def get_dtype(self) -> str: ...


class TensorFile(Protocol):
    """The methods of `safetensors.safe_open` in use."""

    def keys(self) -> list[str]: ...

    def get_slice(self, name: str, /) -> Slice: ...

    def get_tensor(self, name: str, /) -> Tensor: ...


@contextmanager
def opened(path: Path) -> Iterator[TensorFile]:
    """An open safetensors file.

    Raises:
        ValueError: there is no such file, or it is not a valid safetensors file.
    """
    if not path.is_file():
        raise ValueError(f"no weights at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(f"{path} is not a valid safetensors file: {error}") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        ValueError: there is no such file, or it is not a valid safetensors file.
    """
    with opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file."""
    contiguous = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    # One key only: safetensors writes several keys in an order that differs between processes.
    with usual_mode(path):
        save_file(contiguous, path, metadata={"format": "pt"})


def distinct_tensors(model: Module) -> dict[str, Tensor]:
    """Each tensor of the state once, under its first name."""
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            tensors[name] = tensor
    return tensors


def num_bytes(tensors: Mapping[str, Tensor]) -> int:
    """The bytes of tensors together."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _shorten(names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return shown or "none"
