"""Published weights: a folder, or the hub at a pinned revision; safetensors only.

Pickled weights are refused, because reading a pickle can run code. A hub id without a revision is
refused, because a branch can change its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lapse.core.files import check_inside
from lapse.core.hub import FORM, parse_hub_id
from lapse.core.json_files import read_json_object

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "BOOL")  # names of the safetensors format
PATTERNS = ["config.json", "preprocessor_config.json", "model*.safetensors", INDEX]


def local_folder(source: str, key: str) -> Path:
    """The folder of a source; a hub id is downloaded into the hub's cache.

    Args:
        source: a folder, or "org/name@<40 hex digits>".
        key: the configuration key that holds it, for the error.

    Raises:
        ValueError: neither a folder nor a pinned hub id.
    """
    if Path(source).is_dir():
        return Path(source)
    hub_id = parse_hub_id(source)
    if hub_id is None:
        raise ValueError(
            f"{key} {source!r} is neither a folder nor a hub id with a pinned revision ({FORM})"
        )
    from huggingface_hub import snapshot_download

    repo, revision = hub_id
    return Path(snapshot_download(repo, revision=revision, allow_patterns=PATTERNS))


def read_json(path: Path) -> dict[str, object]:
    """A JSON object of a weights folder.

    Raises:
        ValueError: the file is missing, a link out of the folder, or not a JSON object.
    """
    if not path.is_file():
        raise ValueError(f"{path.parent} has no {path.name}: expected a folder of transformers")
    check_inside(path, path.parent)
    return read_json_object(path)


def read_weights(folder: Path, is_selected: Callable[[str], bool]) -> dict[str, Tensor]:
    """The tensors of a folder whose names are selected, in fp32, from one file or from shards.

    Raises:
        ValueError: no safetensors, a damaged file, a shard outside the folder, quantized or complex
            weights, or a value that is not finite.
    """
    files = [WEIGHTS]
    if not (folder / WEIGHTS).is_file():
        if not (folder / INDEX).is_file():
            raise ValueError(
                f"{folder} has no {WEIGHTS}; pickled weights (.bin, .pt) are refused: convert them "
                "with transformers' save_pretrained, which writes safetensors"
            )
        shards = read_json(folder / INDEX).get("weight_map")
        files = sorted(set(shards.values())) if isinstance(shards, dict) else []
        outside = [name for name in files if Path(name).name != name]
        if outside or not files:
            raise ValueError(f"{folder / INDEX} must name shards in its folder, got {outside}")
    tensors: dict[str, Tensor] = {}
    for name in files:
        check_inside(folder / name, folder)
        try:
            with safe_open(folder / name, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (not a mapping)
                    if is_selected(key):
                        check_dtype(folder / name, key, file.get_slice(key).get_dtype())
                        tensors[key] = file.get_tensor(key)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{folder / name} is not a valid safetensors file: {error}") from error
    check_finite(folder, tensors)
    return {
        key: value.float() if value.is_floating_point() else value for key, value in tensors.items()
    }


def check_dtype(path: Path, name: str, dtype: str) -> None:
    """Refuse a tensor of quantized or complex weights, by its type in the file's header.

    Raises:
        ValueError: names the tensor and the accepted types.
    """
    if dtype not in DTYPES:
        raise ValueError(
            f"{path}: tensor {name!r} has type {dtype}, known types are {', '.join(DTYPES)}: "
            "quantized and complex weights are not read; save the model in 16 or 32 bits"
        )


def check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights with a value that is not finite.

    Raises:
        ValueError: names the first such tensor.
    """
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ValueError(f"{path}: tensor {name!r} holds NaN or infinite values")
