"""Where outside weights come from: a folder, or the hub at a pinned revision. Only safetensors.

A pickle can run code when it is read, and a name without a revision may mean other weights
tomorrow, so both are refused.
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
    """The folder of a source; a hub id is fetched into the hub's cache.

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
        ValueError: there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise ValueError(f"{path.parent} has no {path.name}: expected a folder of transformers")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds {type(found).__name__}, not an object")
    return found


def read_weights(folder: Path, wanted: Callable[[str], bool]) -> dict[str, Tensor]:
    """The tensors of a folder whose names are wanted, in fp32, from one file or from shards.

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
            raise ValueError(f"{folder / INDEX} names no shards of its own folder: {outside}")
    found: dict[str, Tensor] = {}
    for name in files:
        try:
            with safe_open(folder / name, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (not a mapping)
                    if wanted(key):
                        found[key] = file.get_tensor(key)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{folder / name} is no valid safetensors file: {error}") from error
    return {
        key: value.float() if value.is_floating_point() else value for key, value in found.items()
    }
