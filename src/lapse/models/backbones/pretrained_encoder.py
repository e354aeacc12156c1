"""The encoder of a published checkpoint, in place of random weights.

    SigLIP, MedSigLIP, SigLIP 2 with a fixed size   -> our encoder (`siglip_format`)
    DINOv2 (RAD-DINO), ViT, ResNet                  -> `hf_encoder`, by transformers

Every adaptation is reported in one sentence: positions interpolated to another grid, colour
channels summed for grey images. Different sizes are an error, and so are weights that expect
another pixel scale: our encoder reads pixels in [-1, 1].
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
from lapse.models.backbones.encoder_model import build_encoder
from lapse.models.backbones.hf_encoder import (
    KINDS,
    hf_encoder_config,
    hf_encoder_state,
    pixel_scale,
)
from lapse.models.backbones.hub import local_folder, read_json, read_weights
from lapse.models.backbones.siglip_format import from_siglip
from lapse.models.backbones.vision_encoder import VisionEncoder
from lapse.models.layers.transformer import EPSILON

SIGLIP = ("siglip", "siglip_vision_model")
# Our names -> names in SigLIP's vision_config, with transformers' default.
SIZES = {
    "width": ("hidden_size", 768),
    "layers": ("num_hidden_layers", 12),
    "heads": ("num_attention_heads", 12),
    "mlp_width": ("intermediate_size", 3072),
    "patch_size": ("patch_size", 16),
}
MEAN, DEVIATION = (0.5,), (0.5,)  # of the pixels that our encoder reads


@dataclass(frozen=True, slots=True)
class EncoderWeights:
    """Tensors for `encoder.load_state_dict`, and sentences about where they come from."""

    state: dict[str, Tensor]
    messages: tuple[str, ...]


def read_encoder(source: str, config: EncoderConfig) -> EncoderWeights:
    """The encoder of a published checkpoint, for our encoder of the same sizes.

    Args:
        source: a folder of transformers (config.json, model.safetensors), or
            "org/name@<40 hex digits>" of the hub.

    Raises:
        ValueError: no such folder, an unpinned hub id, pickled weights, another architecture,
            other sizes, other pixels, or tensors that are missing, unknown or of another shape.
    """
    folder = local_folder(source, "init_encoder")
    raw = read_json(folder / "config.json")
    if config.hf_config is not None:
        return _read_hf_encoder(source, folder, raw, config)
    kind = _checked_kind(source, raw)
    if kind in KINDS:
        raise ValueError(
            f"{source} is a {kind}: give its architecture with the run, "
            f"{as_override(encoder_config_of(source, config.image_size))}"
        )
    if config.stem != "patch":
        raise ValueError(
            f"{source} reads patches, model.encoder.stem is {config.stem!r}: set it to patch"
        )
    _check_sizes(source, _vision_config(raw), config)
    _check_pixels(folder)
    state = read_weights(folder, lambda key: not key.startswith(("text_model.", "logit_")))
    tensors = from_siglip(state, config.layers)
    messages = [f"encoder: from {source}"]
    messages += _fit_channels(tensors, config)
    messages += _fit_positions(tensors, config)
    _check_shapes(source, tensors, config)
    return EncoderWeights(tensors, tuple(messages))


def encoder_config_of(source: str, image_size: int) -> EncoderConfig:
    """The `model.encoder` that a published checkpoint needs, for images of this size.

    Raises:
        ValueError: an architecture that cannot be read.
    """
    folder = local_folder(source, "init_encoder")
    raw = read_json(folder / "config.json")
    if _checked_kind(source, raw) in KINDS:
        return hf_encoder_config(raw, pixel_scale(folder), image_size)
    vision = _vision_config(raw)
    sizes = {name: vision.get(hf_name, default) for name, (hf_name, default) in SIZES.items()}
    return EncoderConfig.model_validate({**sizes, "image_size": image_size, "channels": 3})


def _checked_kind(source: str, raw: Mapping[str, Any]) -> str:
    """The "model_type" of a config.json, if it can be read."""
    kind = raw.get("model_type")
    if kind not in (*SIGLIP, *KINDS):
        kinds = ", ".join((*SIGLIP, *KINDS))
        raise ValueError(f"{source} is a {kind!r}: the encoders that can be read are {kinds}")
    return str(kind)


def _vision_config(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    vision: Mapping[str, Any] = raw.get("vision_config", raw)
    return vision


def _check_sizes(source: str, vision: Mapping[str, Any], config: EncoderConfig) -> None:
    sizes = {name: vision.get(hf_name, default) for name, (hf_name, default) in SIZES.items()}
    other = {name: size for name, size in sizes.items() if size != getattr(config, name)}
    different = [f"{name} is {getattr(config, name)}, there {size}" for name, size in other.items()]
    for hf_name, expected in (("hidden_act", "gelu_pytorch_tanh"), ("layer_norm_eps", EPSILON)):
        if vision.get(hf_name, expected) != expected:
            different.append(f"{hf_name} is {expected}, there {vision[hf_name]}")
    if different:
        overrides = " ".join(f"model.encoder.{name}={size}" for name, size in other.items())
        advice = f"; give {overrides}" if overrides else ""
        raise ValueError(f"the encoder of {source} has other sizes: {'; '.join(different)}{advice}")


def _check_pixels(folder: Path) -> None:
    scale = pixel_scale(folder)
    if scale is not None and (set(scale[0]) != set(MEAN) or set(scale[1]) != set(DEVIATION)):
        raise ValueError(
            f"{folder} expects pixels with mean {list(scale[0])} and deviation {list(scale[1])}; "
            f"our encoder reads {list(MEAN)} and {list(DEVIATION)}"
        )


def _fit_channels(state: dict[str, Tensor], config: EncoderConfig) -> list[str]:
    channels = state["patches.weight"].shape[1]
    if channels == config.channels or config.channels != 1:
        return []
    # Equal outputs: a grey image repeated over the channels is multiplied by each of the weights.
    state["patches.weight"] = state["patches.weight"].sum(dim=1, keepdim=True)
    return [f"encoder: its {channels} colour channels are summed for grey images (equal outputs)"]


def _fit_positions(state: dict[str, Tensor], config: EncoderConfig) -> list[str]:
    table = state["positions"]
    old, new = round(len(table) ** 0.5), round(config.num_tokens**0.5)
    if old == new or old**2 != len(table):
        return []
    grid = table.t().reshape(1, -1, old, old)
    grid = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    state["positions"] = grid.flatten(2)[0].t().contiguous()
    return [f"encoder: positions interpolated from {old} x {old} to {new} x {new} (bicubic)"]


def _check_shapes(source: str, state: Mapping[str, Tensor], config: EncoderConfig) -> None:
    with torch.device("meta"):
        expected = VisionEncoder(config).state_dict()
    wrong = [
        f"{key} is {tuple(value.shape)}, expected {tuple(expected[key].shape)}"
        for key, value in state.items()
        if value.shape != expected[key].shape
    ]
    if wrong:
        raise ValueError(f"{source} does not fit the encoder in {len(wrong)} tensors: {wrong[0]}")


def _read_hf_encoder(
    source: str, folder: Path, raw: Mapping[str, Any], config: EncoderConfig
) -> EncoderWeights:
    expected = hf_encoder_config(raw, pixel_scale(folder), config.image_size)
    if expected.hf_config != config.hf_config:
        raise ValueError(
            f"{source} has another architecture than model.encoder.hf_config: give "
            f"{as_override(expected)}"
        )
    with torch.device("meta"):
        names = set(build_encoder(config).state_dict())
    state = hf_encoder_state(folder, names)
    kind = str(raw["model_type"])
    return EncoderWeights(state, (f"encoder: from {source} ({kind} of transformers)",))


def as_override(config: EncoderConfig) -> str:
    """An encoder's configuration as one override, "model.encoder={...}", in YAML."""
    values = config.model_dump(mode="json", exclude_none=True)
    text = yaml.safe_dump(values, default_flow_style=True, sort_keys=False, width=10**9)
    return f"model.encoder={text.strip()}"
