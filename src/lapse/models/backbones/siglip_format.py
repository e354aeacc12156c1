"""Our encoder <-> transformers' SigLIP vision model: configuration and weights in both directions.

Two generations of key names exist: with the prefix "vision_model." (transformers up to 5.16) and
without it. Both are read; a missing or unknown key is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from lapse.config import EncoderConfig
from lapse.core.files import usual_mode
from lapse.models.backbones.vision_encoder import VisionEncoder
from lapse.models.layers.transformer import EPSILON

PREFIX = "vision_model."
# Our names -> SigLIP's names.
OUTER = {
    "patches.weight": "embeddings.patch_embedding.weight",
    "patches.bias": "embeddings.patch_embedding.bias",
    "positions": "embeddings.position_embedding.weight",
    "norm.weight": "post_layernorm.weight",
    "norm.bias": "post_layernorm.bias",
}
INNER = {
    "norm_attention": "layer_norm1",
    "attention.out": "self_attn.out_proj",
    "norm_mlp": "layer_norm2",
    "mlp.up": "mlp.fc1",
    "mlp.down": "mlp.fc2",
}
JOINED = "attention.query_key_value"
QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


def to_siglip(state: Mapping[str, Tensor], *, with_prefix: bool = True) -> dict[str, Tensor]:
    """Our encoder's weights under SigLIP's names; the joined projection is split into three.

    Raises:
        ValueError: a key is missing or unknown.
    """
    layers = {int(match[1]) for key in state if (match := re.match(r"blocks\.(\d+)\.", key))}
    depth = max(layers, default=-1) + 1
    names = _names(depth)
    for what, keys in (
        ("lack", names.keys() - state.keys()),
        ("hold the unknown", state.keys() - names.keys()),
    ):
        if keys:
            raise ValueError(
                f"the weights {what} tensor {min(keys)!r}: not an encoder of {depth} layers"
            )
    tensors: dict[str, Tensor] = {}
    for name, siglip_names in names.items():
        parts = state[name].detach().cpu().chunk(len(siglip_names))
        tensors |= zip(siglip_names, parts, strict=True)
    prefix = PREFIX if with_prefix else ""
    return {prefix + key: value.contiguous().clone() for key, value in tensors.items()}


def from_siglip(state: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """SigLIP's vision weights under our names, ready for `VisionEncoder.load_state_dict`.

    The pooling head ("head.") and the text model ("text_model.", the logit scale) are ignored:
    stage 2 reads tokens.

    Raises:
        ValueError: a key is missing or unknown.
    """
    outside = ("text_model.", "logit_", f"{PREFIX}head.", "head.")
    unread = {
        key.removeprefix(PREFIX): value
        for key, value in state.items()
        if not key.startswith(outside)
    }
    unread.pop("embeddings.position_ids", None)
    tensors: dict[str, Tensor] = {}
    for name, siglip_names in _names(layers).items():
        for key in siglip_names:
            if key not in unread:
                raise ValueError(
                    f"the SigLIP weights lack {key!r}: not a vision model of this depth"
                )
        parts = [unread.pop(key) for key in siglip_names]
        tensors[name] = parts[0] if len(parts) == 1 else torch.cat(parts)
    if unread:
        raise ValueError(
            f"the SigLIP weights hold {len(unread)} unexpected tensors, the first is "
            f"{next(iter(unread))!r}: check the number of layers, {layers}"
        )
    return tensors


def _names(depth: int) -> dict[str, tuple[str, ...]]:
    """Our name of each tensor -> SigLIP's name, or the names of its three parts."""
    names: dict[str, tuple[str, ...]] = {
        name: (siglip_name,) for name, siglip_name in OUTER.items()
    }
    inner = {JOINED: QKV, **{name: (siglip_name,) for name, siglip_name in INNER.items()}}
    for layer, (name, parts), kind in product(range(depth), inner.items(), ("weight", "bias")):
        siglip_names = tuple(f"encoder.layers.{layer}.{part}.{kind}" for part in parts)
        names[f"blocks.{layer}.{name}.{kind}"] = siglip_names
    return names


def siglip_config(config: EncoderConfig) -> dict[str, object]:
    """The config.json of `SiglipVisionModel` for our encoder."""
    return {
        "architectures": ["SiglipVisionModel"],
        "model_type": "siglip_vision_model",
        "image_size": config.image_size,
        "patch_size": config.patch_size,
        "num_channels": config.channels,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.mlp_width,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": EPSILON,
        "attention_dropout": 0.0,
        "vision_use_head": False,
    }


def export_encoder(encoder: VisionEncoder, folder: Path) -> None:
    """Write a folder that `SiglipVisionModel.from_pretrained` opens with equal outputs.

    Raises:
        ValueError: the encoder has a convolutional stem, which SigLIP's format cannot hold.
    """
    if encoder.config.stem != "patch":
        raise ValueError(
            f"an encoder with stem {encoder.config.stem!r} has no SigLIP format: train with "
            "encoder.stem=patch to export it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with usual_mode(folder / "model.safetensors"):
        save_file(to_siglip(encoder.state_dict()), folder / "model.safetensors", {"format": "pt"})
    text = json.dumps(siglip_config(encoder.config), indent=1)
    (folder / "config.json").write_text(text, encoding="utf-8")
