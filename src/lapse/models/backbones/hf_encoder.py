"""Encoders other than SigLIP: a ViT, DINOv2 or ResNet of transformers with our interface.

Legend: U images  S image size  N tokens  D width

    [-1, 1] pixels -> the checkpoint's pixel scale -> its model -> tokens of the grid [U, N, D]

RAD-DINO (a DINOv2) and the ResNet-50 of BioViL and BioViL-T are of these kinds. Tokens outside the
grid (CLS, registers) are dropped; the map of a ResNet is read row by row. The configuration holds
the architecture, so that a run opens without the checkpoint's folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lapse.config import EncoderConfig
from lapse.core.extras import install_command
from lapse.models.backbones.hub import read_json, read_weights

KINDS = ("dinov2", "vit", "resnet")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
Scale = tuple[tuple[float, ...], tuple[float, ...]]
# Entries that do not change the computation; the configuration omits them.
IGNORED = (
    "architectures", "transformers_version", "torch_dtype", "dtype", "_name_or_path", "id2label",
    "label2id", "problem_type", "num_labels", "auto_map",
)  # fmt: skip


class HFEncoder(nn.Module):
    """One image -> its visual tokens, by a model of transformers.

    Weights: transformers' initialisation; a checkpoint replaces them (`init_encoder`).

    Raises:
        ValueError: transformers is not installed, or the architecture has other sizes.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        if config.hf_config is None:
            raise ValueError("model.encoder.hf_config is not set: use VisionEncoder")
        self.config = config
        values = dict(config.hf_config)
        mean, deviation = values.pop("image_mean"), values.pop("image_std")
        kind = values.pop("model_type")
        try:
            from transformers import AutoConfig, AutoModel
        except ImportError as error:
            raise ValueError(
                f"an encoder of kind {kind!r} needs transformers: {install_command('transformers')}"
            ) from error
        architecture = AutoConfig.for_model(kind, **values)
        options = {"add_pooling_layer": False} if kind == "vit" else {}
        self.model = AutoModel.from_config(architecture, **options)  # type: ignore[no-untyped-call]
        self.kind = str(kind)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer(
            "deviation", torch.tensor(deviation).view(1, -1, 1, 1), persistent=False
        )

    def forward(self, images: Tensor) -> Tensor:
        """[U, 3, S, S] in [-1, 1] -> [U, N, D].

        Raises:
            ValueError: another image size, or other tokens than configured.
        """
        expected = (3, self.config.image_size, self.config.image_size)
        if tuple(images.shape[1:]) != expected:
            raise ValueError(
                f"images are {tuple(images.shape[1:])}, the encoder expects {expected}: "
                "prepare the store at the encoder's image_size"
            )
        pixels = ((images + 1.0) / 2.0 - self.mean) / self.deviation
        # DINOv2 always interpolates its positions, a ResNet has none.
        options = {"interpolate_pos_encoding": True} if self.kind == "vit" else {}
        out = self.model(pixel_values=pixels, **options).last_hidden_state
        tokens: Tensor = out.flatten(2).transpose(1, 2) if self.kind == "resnet" else out
        tokens = tokens[:, -self.config.num_tokens :]
        sizes = (self.config.num_tokens, self.config.width)
        if tuple(tokens.shape[1:]) != sizes:
            raise ValueError(
                f"the encoder gives {tuple(tokens.shape[1:])} tokens, the configuration says "
                f"{sizes}: check model.encoder.patch_size and width"
            )
        return tokens


def hf_encoder_config(
    raw: Mapping[str, Any], scale: Scale | None, image_size: int
) -> EncoderConfig:
    """The EncoderConfig of a checkpoint's config.json.

    Args:
        scale: mean and deviation of its pixels; None for ImageNet's, transformers' default.
        image_size: height and width of our images in pixels.
    """
    mean, deviation = scale or IMAGENET
    kept = {key: value for key, value in raw.items() if key not in IGNORED}
    kept |= {"image_mean": list(mean), "image_std": list(deviation)}
    if raw["model_type"] == "resnet":
        sizes = {
            "width": raw["hidden_sizes"][-1],
            "patch_size": 2 ** (len(raw["hidden_sizes"]) + 1),
            "layers": sum(raw["depths"]),
            "heads": 1,
            "mlp_width": raw["hidden_sizes"][-1],
        }
    else:
        sizes = {
            "width": raw.get("hidden_size", 768),
            "patch_size": raw.get("patch_size", 16),
            "layers": raw.get("num_hidden_layers", 12),
            "heads": raw.get("num_attention_heads", 12),
            "mlp_width": raw.get("intermediate_size", raw.get("hidden_size", 768) * 4),
        }
    return EncoderConfig.model_validate(
        {**sizes, "image_size": image_size, "channels": 3, "hf_config": kept}
    )


def pixel_scale(folder: Path) -> Scale | None:
    """Mean and deviation of the pixels that a checkpoint expects; None if not stated."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return None
    raw = read_json(path)
    mean, deviation = raw.get("image_mean"), raw.get("image_std")
    if not isinstance(mean, list) or not isinstance(deviation, list):
        return None
    return tuple(map(float, mean)), tuple(map(float, deviation))


def hf_encoder_state(folder: Path, names: set[str]) -> dict[str, Tensor]:
    """The checkpoint's tensors under the names of an `HFEncoder`, read by transformers.

    transformers renames tensors between its versions, so it opens the folder itself: safetensors
    only, and no code from the folder.

    Raises:
        ValueError: no safetensors, or tensors that are missing or of another shape.
    """
    read_weights(folder, lambda _: False)  # refuses pickles and damaged files
    from transformers import AutoModel

    model, info = AutoModel.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        dtype=torch.float32,
    )
    tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
    absent = {f"model.{key}" for key in info["missing_keys"]} & names
    if absent or not names <= tensors.keys():
        raise ValueError(f"{folder} lacks {min(absent or names - tensors.keys())!r} of its encoder")
    return {key: tensors[key] for key in names}
