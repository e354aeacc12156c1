"""Warm starts: the encoder of a published checkpoint in place of random weights.

    SigLIP, MedSigLIP, SigLIP 2 with a fixed size   -> our own encoder (models/interop)
    DINOv2 (RAD-DINO), ViT, ResNet                  -> models/foreign_encoder, by transformers

Whatever has to be adapted is said in one sentence each: positions stretched to another grid,
colour planes summed for grey images. Sizes that differ are an error, and so are weights that
expect pixels on another scale: an encoder of ours reads pixels in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from lapse.config import EncoderConfig
from lapse.models.backbones.build_encoder import build_encoder
from lapse.models.backbones.hf_encoder import KINDS, foreign_config, foreign_state, scale_of
from lapse.models.backbones.hub import local_folder, read_json, read_weights
from lapse.models.backbones.siglip_format import from_siglip
from lapse.models.backbones.vision_encoder import EPSILON, VisionEncoder

SIGLIP = ("siglip", "siglip_vision_model")
# Ours -> theirs in SigLIP's vision_config, with transformers' default.
SIZES = {
    "width": ("hidden_size", 768),
    "layers": ("num_hidden_layers", 12),
    "heads": ("num_attention_heads", 12),
    "mlp_width": ("intermediate_size", 3072),
    "patch_size": ("patch_size", 16),
}


@dataclass(frozen=True, slots=True)
class EncoderWeights:
    """Tensors for `encoder.load_state_dict`, and where they come from, a sentence each."""

    state: dict[str, Tensor]
    told: tuple[str, ...]


def read_encoder(source: str, config: EncoderConfig) -> EncoderWeights:
    """The encoder of a published checkpoint, for an encoder of ours of the same sizes.

    Args:
        source: a folder of transformers (config.json, model.safetensors), or
            "org/name@<40 hex digits>" of the hub.
        config: the encoder to fill.

    Raises:
        ValueError: no such folder, an unpinned hub id, pickled weights, another architecture,
            other sizes, other pixels, or tensors that are missing, unknown or of another shape.
    """
    folder = local_folder(source, "init_encoder")
    raw = read_json(folder / "config.json")
    kind = raw.get("model_type")
    if config.hf_config is not None:
        return _foreign(source, folder, raw, config)
    if kind in KINDS:
        raise ValueError(
            f"{source} is a {kind}: give its architecture with the run, "
            f"{as_override(encoder_config_of(source, config.image_size))}"
        )
    if kind not in SIGLIP:
        known = ", ".join((*SIGLIP, *KINDS))
        raise ValueError(f"{source} is a {kind!r}: the encoders that can be read are {known}")
    if config.stem != "patch":
        raise ValueError(
            f"{source} reads patches, model.encoder.stem is {config.stem!r}: set it to patch"
        )
    vision = _vision(raw)
    _check_sizes(source, vision, config)
    _check_pixels(folder, (0.5,), (0.5,))
    state = read_weights(folder, lambda key: not key.startswith(("text_model.", "logit_")))
    found = from_siglip(state, config.layers)
    told = [f"encoder: from {source}"]
    told += _fit_channels(found, config)
    told += _fit_positions(found, config)
    _check_shapes(source, found, config)
    return EncoderWeights(found, tuple(told))


def encoder_config_of(source: str, image_size: int) -> EncoderConfig:
    """The `model.encoder` that a published checkpoint needs, for images of this side.

    Raises:
        ValueError: an architecture that cannot be read.
    """
    folder = local_folder(source, "init_encoder")
    raw = read_json(folder / "config.json")
    kind = raw.get("model_type")
    if kind in KINDS:
        return foreign_config(raw, scale_of(folder), image_size)
    if kind not in SIGLIP:
        known = ", ".join((*SIGLIP, *KINDS))
        raise ValueError(f"{source} is a {kind!r}: the encoders that can be read are {known}")
    vision = _vision(raw)
    sizes = {ours: vision.get(theirs, usual) for ours, (theirs, usual) in SIZES.items()}
    return EncoderConfig.model_validate({**sizes, "image_size": image_size, "channels": 3})


def _vision(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = raw.get("vision_config", raw)
    return found


def _check_sizes(source: str, vision: Mapping[str, Any], config: EncoderConfig) -> None:
    different = [
        f"{ours} is {getattr(config, ours)}, there {vision.get(theirs, usual)}"
        for ours, (theirs, usual) in SIZES.items()
        if vision.get(theirs, usual) != getattr(config, ours)
    ]
    for theirs, wanted in (("hidden_act", "gelu_pytorch_tanh"), ("layer_norm_eps", EPSILON)):
        if vision.get(theirs, wanted) != wanted:
            different.append(f"{theirs} is {wanted}, there {vision[theirs]}")
    if different:
        raise ValueError(f"the encoder of {source} has other sizes: {'; '.join(different)}")


def _check_pixels(folder: Path, mean: tuple[float, ...], deviation: tuple[float, ...]) -> None:
    found = scale_of(folder)
    if found is not None and (set(found[0]) != set(mean) or set(found[1]) != set(deviation)):
        raise ValueError(
            f"{folder} expects pixels with mean {list(found[0])} and deviation {list(found[1])}; "
            f"an encoder of ours reads {list(mean)} and {list(deviation)}"
        )


def _fit_channels(state: dict[str, Tensor], config: EncoderConfig) -> list[str]:
    theirs = state["patches.weight"].shape[1]
    if theirs == config.channels or config.channels != 1:
        return []
    # A grey image repeated over the planes meets the sum of their weights: exactly the same.
    state["patches.weight"] = state["patches.weight"].sum(dim=1, keepdim=True)
    return [f"encoder: its {theirs} colour planes are summed for grey images (the same outputs)"]


def _fit_positions(state: dict[str, Tensor], config: EncoderConfig) -> list[str]:
    table = state["positions"]
    theirs, ours = round(len(table) ** 0.5), round(config.num_tokens**0.5)
    if theirs == ours or theirs**2 != len(table):
        return []
    grid = table.t().reshape(1, -1, theirs, theirs)
    grid = F.interpolate(grid, size=(ours, ours), mode="bicubic", align_corners=False)
    state["positions"] = grid.flatten(2)[0].t().contiguous()
    return [f"encoder: positions stretched from {theirs} x {theirs} to {ours} x {ours} (bicubic)"]


def _check_shapes(source: str, state: Mapping[str, Tensor], config: EncoderConfig) -> None:
    with torch.device("meta"):
        own = VisionEncoder(config).state_dict()
    wrong = [
        f"{key} is {tuple(value.shape)}, wanted {tuple(own[key].shape)}"
        for key, value in state.items()
        if value.shape != own[key].shape
    ]
    if wrong:
        raise ValueError(f"{source} does not fit the encoder in {len(wrong)} tensors: {wrong[0]}")


def _foreign(
    source: str, folder: Path, raw: Mapping[str, Any], config: EncoderConfig
) -> EncoderWeights:
    found = foreign_config(raw, scale_of(folder), config.image_size)
    if found.hf_config != config.hf_config:
        raise ValueError(
            f"{source} has another architecture than model.encoder.hf_config: give "
            f"{as_override(found)}"
        )
    kind = str(raw["model_type"])
    with torch.device("meta"):
        names = set(build_encoder(config).state_dict())
    state = foreign_state(folder, names)
    return EncoderWeights(state, (f"encoder: from {source} ({kind} of transformers)",))


def as_override(config: EncoderConfig) -> str:
    """An encoder's configuration as one override, "model.encoder={...}", in YAML."""
    values = config.model_dump(mode="json", exclude_none=True)
    text = yaml.safe_dump(values, default_flow_style=True, sort_keys=False, width=10**9)
    return f"model.encoder={text.strip()}"
