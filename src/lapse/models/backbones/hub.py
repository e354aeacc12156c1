"""Published weights: a folder, or the hub at a pinned revision; safetensors only.

Pickled weights are refused, because reading a pickle can run code. A hub id without a revision is
refused, because a branch can change its weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from lapse.core.hub import FORM, parse_hub_id

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
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
        ValueError: the file is missing, or is not a JSON object.
    """
    if not path.is_file():
        raise ValueError(f"{path.parent} has no {path.name}: expected a folder of transformers")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds {type(values).__name__}, not an object")
    return values


def read_weights(folder: Path, is_selected: Callable[[str], bool]) -> dict[str, Tensor]:
    """The tensors of a folder whose names are selected, in fp32, from one file or from shards.

    Raises:
        ValueError: no safetensors, a damaged file, or a shard outside the folder.
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
        try:
            with safe_open(folder / name, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (not a mapping)
                    if is_selected(key):
                        tensors[key] = file.get_tensor(key)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{folder / name} is not a valid safetensors file: {error}") from error
    return {
        key: value.float() if value.is_floating_point() else value for key, value in tensors.items()
    }
