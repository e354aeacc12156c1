"""`torch.compile` for the blocks of encoders and decoders (`train.compile`).

Each block is compiled in place, so parameters keep their names, checkpoints are the same with and
without it, and copies of a model are not compiled. Blocks of one kind have one graph. Generation
calls parts of a block and is not compiled.
"""

from __future__ import annotations

import torch
from torch import nn

from lapse.models.interface import TrainableModel


def compile_blocks(model: TrainableModel, backend: str, *, fullgraph: bool = False) -> int:
    """Compile the blocks of all parts of a model; returns their number.

    Args:
        model: is changed in place.
        backend: of `torch.compile`; "none" changes nothing.
        fullgraph: whether code that cannot be compiled is an error. False: it runs as usual.
    """
    if backend == "none":
        return 0
    parts = (getattr(part, "blocks", None) for part in model.modules())
    blocks = [block for part in parts if isinstance(part, nn.ModuleList) for block in part]
    for block in blocks:
        block.compile(backend=backend, fullgraph=fullgraph)
    return len(blocks)


def check_backend(backend: str, device: torch.device) -> None:
    """Compile one operation, so that a missing compiler is an error before the first step.

    Args:
        backend: of `torch.compile`; "none" needs no check.
        device: of the model.

    Raises:
        ValueError: the backend does not work on this machine.
    """
    if backend == "none":
        return
    try:
        torch.compile(torch.sin, backend=backend)(torch.ones(2, device=device))
    except RuntimeError as error:
        lines = str(error).strip().splitlines()
        raise ValueError(
            f"train.compile={backend} does not work on this machine ({lines[0]}): install a C++ "
            "compiler (for a GPU, Triton), or set train.compile=none"
        ) from None
