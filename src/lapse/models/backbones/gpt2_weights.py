"""GPT-2's weights in transformers' format: reading from a folder or the hub, and writing.

Only safetensors are read, because a pickle can run code. A hub id must pin its revision, so that
a configuration always means the same weights.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from lapse.models.backbones.gpt2 import EPSILON, GPT2
from lapse.models.backbones.hub import local_folder, read_json, read_weights

# Our names -> transformers' names within a block; transformers stores the transposed matrix.
BLOCK_KEYS = {
    "norm_attention": "ln_1",
    "attention.query_key_value": "attn.c_attn",
    "attention.out": "attn.c_proj",
    "norm_mlp": "ln_2",
    "mlp.up": "mlp.c_fc",
    "mlp.down": "mlp.c_proj",
}
# Entries of config.json that change the computation: the values that `GPT2` computes, first
# transformers' default. The sizes come from the configuration, the heads and n_inner are added.
COMPUTED: dict[str, tuple[object, ...]] = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (EPSILON,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "tie_word_embeddings": (True,),
}
DEFAULT_HEADS = 12


def load_gpt2(model: GPT2, source: str | None) -> str:
    """Load pretrained weights into GPT-2; returns one sentence about their source.

    Args:
        model: of the same width and depth; a trimmed token table takes its rows.
        source: a folder with config.json and model.safetensors (or its shards),
            "org/name@<40 hex digits>", or None.

    Raises:
        ValueError: no such folder, an unpinned hub id, pickled weights, another architecture in
            config.json, or tensors that are missing, unexpected or of another shape.
    """
    if source is None:
        return "language model: random weights (language_model.weights is not set)"
    folder = local_folder(source, "language_model.weights")
    read_weights(folder, lambda _: False)  # refuses pickles and damaged files
    _check_same_architecture(model, folder)
    state = from_gpt2(read_weights(folder, lambda key: not _is_ignored(key)))
    expected = model.state_dict()
    tokens, positions = state["tokens.weight"], state["positions"]
    state["tokens.weight"] = tokens[model.tokens.id_of.cpu()]
    if positions.shape[0] < expected["positions"].shape[0]:
        raise ValueError(
            f"{source} has {positions.shape[0]} positions, the configuration needs "
            f"{expected['positions'].shape[0]}: lower language_model.max_positions"
        )
    state["positions"] = positions[: expected["positions"].shape[0]]
    if model.config.take == "blocks":
        state |= {key: expected[key] for key in ("tokens.weight", "positions")}
        for key in [key for key in state if key.endswith("attention.query_key_value.bias")]:
            state[key] = torch.zeros_like(state[key])
    wrong = [
        f"{key}: {tuple(state[key].shape) if key in state else 'missing'}, "
        f"expected {tuple(expected[key].shape) if key in expected else 'nothing'}"
        for key in sorted(state.keys() | expected.keys())
        if key not in expected or key not in state or state[key].shape != expected[key].shape
    ]
    if wrong:
        raise ValueError(
            f"{source} does not fit the language model in {len(wrong)} tensors, "
            f"the first is {wrong[0]}"
        )
    model.load_state_dict(state)
    what = "weights" if model.config.take == "all" else "blocks"
    return f"language model: pretrained {what} of {source}"


def _check_same_architecture(model: GPT2, folder: Path) -> None:
    """Compare config.json with what `GPT2` computes; the shapes of the tensors do not show it."""
    raw = read_json(folder / "config.json")
    width, heads = model.config.width, model.config.heads
    accepted = COMPUTED | {"n_inner": (None, 4 * width)}
    different = [
        f"{key} is {raw[key]!r}, here {values[0]!r}"
        for key, values in accepted.items()
        if raw.get(key, values[0]) not in values
    ]
    if raw.get("n_head", DEFAULT_HEADS) != heads:
        different.append(f"n_head is {raw.get('n_head', DEFAULT_HEADS)!r}, here {heads}")
    if different:
        raise ValueError(
            f"{folder / 'config.json'} describes another language model: {'; '.join(different)}: "
            "use weights of GPT-2, and set language_model.heads to theirs"
        )


def _is_ignored(key: str) -> bool:
    """The output layer, which is tied to the tokens, and causal masks."""
    name = key.removeprefix("transformer.")
    return name == "lm_head.weight" or bool(re.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name))


def from_gpt2(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """transformers' keys and layouts -> ours; with or without the prefix "transformer.".

    Raises:
        ValueError: a key that GPT-2 does not have.
    """
    names = {hf_name: name for name, hf_name in BLOCK_KEYS.items()}
    tensors: dict[str, Tensor] = {}
    for key, value in state.items():
        if _is_ignored(key):
            continue
        name = key.removeprefix("transformer.")
        match = re.fullmatch(r"h\.(\d+)\.(.+)\.(weight|bias)", name)
        if name == "wte.weight":
            tensors["tokens.weight"] = value
        elif name == "wpe.weight":
            tensors["positions"] = value
        elif name in {"ln_f.weight", "ln_f.bias"}:
            tensors[name.replace("ln_f", "norm")] = value
        elif match and match[2] in names:
            value = value.t() if value.ndim == 2 else value
            tensors[f"blocks.{match[1]}.{names[match[2]]}.{match[3]}"] = value.contiguous()
        else:
            raise ValueError(f"tensor {key!r} does not belong to GPT-2")
    return tensors
