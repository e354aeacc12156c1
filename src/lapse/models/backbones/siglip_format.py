"""Our encoder <-> transformers' SigLIP, so that hub weights open here and ours open there.

Two generations of key names exist: with the prefix "vision_model." (transformers up to 5.16) and
without it. Both are read; a missing or unknown key is an error, never a silent default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lapse.config import EncoderConfig
from lapse.models.backbones.vision_encoder import EPSILON, VisionEncoder

PREFIX = "vision_model."
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
KINDS = ("weight", "bias")
QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


def to_siglip(state: Mapping[str, Tensor], *, with_prefix: bool = True) -> dict[str, Tensor]:
    """Our encoder's weights under SigLIP's names; one joined projection becomes three.

    Raises:
        ValueError: a key is missing or unknown.
    """
    layers = {int(match[1]) for key in state if (match := re.match(r"blocks\.(\d+)\.", key))}
    depth = max(layers, default=-1) + 1
    expected = _our_keys(depth)
    for what, keys in (
        ("lack", expected - set(state)),
        ("hold the unknown", set(state) - expected),
    ):
        if keys:
            raise ValueError(
                f"the weights {what} tensor {min(keys)!r}: not an encoder of {depth} layers"
            )
    found = {theirs: state[ours] for ours, theirs in OUTER.items()}
    for layer in range(depth):
        for kind in KINDS:
            joined = state[f"blocks.{layer}.{JOINED}.{kind}"]
            for name, third in zip(QKV, joined.chunk(3), strict=True):
                found[f"encoder.layers.{layer}.{name}.{kind}"] = third
            for ours, theirs in INNER.items():
                source = f"blocks.{layer}.{ours}.{kind}"
                found[f"encoder.layers.{layer}.{theirs}.{kind}"] = state[source]
    prefix = PREFIX if with_prefix else ""
    return {prefix + key: value.detach().cpu().contiguous().clone() for key, value in found.items()}


def from_siglip(state: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """SigLIP's vision weights under our names, ready for `VisionEncoder.load_state_dict`.

    The pooling head ("head.") and a text tower ("text_model.", the logit scale) are left out:
    stage 2 reads tokens.

    Raises:
        ValueError: a key is missing or unknown.
    """
    outside = ("text_model.", "logit_", f"{PREFIX}head.", "head.")
    theirs = {
        key.removeprefix(PREFIX): value
        for key, value in state.items()
        if not key.startswith(outside)
    }
    theirs.pop("embeddings.position_ids", None)
    found: dict[str, Tensor] = {}

    def take(name: str) -> Tensor:
        if name not in theirs:
            raise ValueError(f"the SigLIP weights lack {name!r}: not a vision tower of this depth")
        return theirs.pop(name)

    for ours, name in OUTER.items():
        found[ours] = take(name)
    for layer in range(layers):
        for kind in KINDS:
            parts = [take(f"encoder.layers.{layer}.{name}.{kind}") for name in QKV]
            found[f"blocks.{layer}.{JOINED}.{kind}"] = torch.cat(parts)
            for ours, name in INNER.items():
                source = f"encoder.layers.{layer}.{name}.{kind}"
                found[f"blocks.{layer}.{ours}.{kind}"] = take(source)
    if theirs:
        raise ValueError(
            f"the SigLIP weights hold {len(theirs)} tensors too many, the first is "
            f"{next(iter(theirs))!r}: is `layers` right?"
        )
    return found


def _our_keys(depth: int) -> set[str]:
    parts = (*INNER, JOINED)
    blocks = {f"blocks.{n}.{part}.{kind}" for n in range(depth) for part in parts for kind in KINDS}
    return blocks | set(OUTER)


def siglip_config(config: EncoderConfig) -> dict[str, object]:
    """The config.json of `SiglipVisionModel` for an encoder of ours."""
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


def export_encoder(encoder: VisionEncoder, folder: Path, *, with_prefix: bool = True) -> None:
    """Write a folder that `SiglipVisionModel.from_pretrained` opens with equal outputs.

    Raises:
        ValueError: the encoder has a stem of convolutions, which SigLIP does not know.
    """
    if encoder.config.stem != "patch":
        raise ValueError(
            f"an encoder with stem {encoder.config.stem!r} has no SigLIP format: train with "
            "encoder.stem=patch to export it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    weights = to_siglip(encoder.state_dict(), with_prefix=with_prefix)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    text = json.dumps(siglip_config(encoder.config), indent=1)
    (folder / "config.json").write_text(text, encoding="utf-8")


def import_encoder(folder: Path) -> VisionEncoder:
    """Open a SigLIP vision folder (config.json, model.safetensors) as our encoder.

    Raises:
        ValueError: files are missing, or the weights do not fit the configuration.
    """
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} has no {name}: expected a SigLIP folder of transformers")
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    raw = raw.get("vision_config", raw)
    for name, ours in (("hidden_act", "gelu_pytorch_tanh"), ("layer_norm_eps", EPSILON)):
        if raw.get(name, ours) != ours:
            raise ValueError(f"{folder}: {name} is {raw[name]!r}, the encoder computes {ours!r}")
    config = EncoderConfig(
        image_size=raw.get("image_size", 224),
        patch_size=raw.get("patch_size", 16),
        channels=raw.get("num_channels", 3),
        width=raw.get("hidden_size", 768),
        layers=raw.get("num_hidden_layers", 12),
        heads=raw.get("num_attention_heads", 12),
        mlp_width=raw.get("intermediate_size", 3072),
    )
    encoder = VisionEncoder(config)
    state = from_siglip(load_file(folder / "model.safetensors"), config.layers)
    encoder.load_state_dict(state)
    return encoder
