"""Our GPT-2 in the format of transformers, to compare with its implementation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from lapse.models.backbones.gpt2 import GPT2
from lapse.models.backbones.gpt2_weights import BLOCK_KEYS


def to_gpt2(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our keys and layouts -> those of `GPT2LMHeadModel`."""
    tensors: dict[str, Tensor] = {}
    for key, value in state.items():
        match = re.fullmatch(r"blocks\.(\d+)\.(.+)\.(weight|bias)", key)
        if key == "tokens.weight":
            name = "wte.weight"
        elif key == "positions":
            name = "wpe.weight"
        elif match:
            name = f"h.{match[1]}.{BLOCK_KEYS[match[2]]}.{match[3]}"
            value = value.t() if value.ndim == 2 else value
        else:
            name = key.replace("norm.", "ln_f.")
        tensors[f"transformer.{name}"] = value.detach().cpu().contiguous().clone()
    return tensors


def export_gpt2(model: GPT2, folder: Path) -> None:
    """Write a folder that `GPT2LMHeadModel.from_pretrained` opens.

    Raises:
        ValueError: the token table is trimmed; restore the full table first.
    """
    if model.tokens.is_trimmed:
        raise ValueError(
            f"the token table has {model.tokens.num_rows} rows: transformers needs all"
        )
    folder.mkdir(parents=True, exist_ok=True)
    save_file(to_gpt2(model.state_dict()), folder / "model.safetensors", {"format": "pt"})
    config = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_embd": model.config.width,
        "n_layer": model.config.layers,
        "n_head": model.config.heads,
        "n_positions": model.config.max_positions,
        "vocab_size": model.tokens.num_rows,
        "bos_token_id": 50256,
        "eos_token_id": 50256,
        "torch_dtype": str(torch.float32).removeprefix("torch."),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
