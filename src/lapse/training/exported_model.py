"""An exported model folder, read as data: configurations, vocabularies, tensors, facts.

    config.json         both runs' resolved configurations, their trimmed vocabularies, what the
                        model was trained on, SHA-256 of the weights
    model.safetensors   encoder.*  captioner.*  answerer.*   in 16 bits

`lapse.inference.pretrained` writes such folders and loads them for inference;
`lapse.training.initialization` initializes new runs from them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lapse.config import RunConfig, Stage, check_config
from lapse.core.files import sha256_of
from lapse.core.version import __version__
from lapse.training.checkpoint import read_tensors

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
DEFAULT = Path(__file__).parents[1] / "assets" / "model"
PACKAGED = "packaged"  # names DEFAULT in a configuration
LIBRARY, FORMAT = "lapse", 2
ENCODER = "encoder."
PREFIXES: dict[Stage, str] = {"pretrain": "captioner.", "diffvqa": "answerer."}


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """What a model folder holds.

    Attributes:
        configs: stage -> resolved configuration of its run.
        kept: stage -> GPT-2 ids that its trimmed vocabulary keeps; None for all.
        all_tensors: every tensor of the file, in float32.
        resize: how training images were made square.
        facts: what it was trained on.
        sha256: of the weights file.
    """

    configs: Mapping[Stage, RunConfig]
    kept: Mapping[Stage, list[int] | None]
    all_tensors: Mapping[str, Tensor]
    resize: str
    facts: Mapping[str, str]
    sha256: str

    def tensors(self, stage: Stage) -> dict[str, Tensor]:
        """The tensors of one stage, encoder included, under the names of its model."""
        prefix = PREFIXES[stage]
        return {
            name.removeprefix(prefix): value
            for name, value in self.all_tensors.items()
            if name.startswith((prefix, ENCODER))
        }


def is_exported_model(folder: Path) -> bool:
    """Whether a folder is an exported model, by its config.json."""
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("library_name") == LIBRARY


def read_exported_model(folder: Path) -> ExportedModel:
    """Read a model folder. Its names of models and tasks must be registered names.

    Raises:
        ValueError: a file is missing, of another format, or damaged (its SHA-256 differs).
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} is not a model folder: it has no {name}")
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder / CONFIG} is not JSON: {error}") from None
    version = values.get("format") if isinstance(values, dict) else None
    if version != FORMAT:
        fix = "use lapse 0.1.0" if version == 1 else "use the version of lapse that wrote it"
        raise ValueError(
            f"{folder} has model format {version!r}, and lapse {__version__} reads format "
            f"{FORMAT}: {fix}, or export the model again"
        )
    digest = sha256_of(folder / WEIGHTS)
    if digest != values["sha256"]:
        raise ValueError(
            f"{folder / WEIGHTS} has SHA-256 {digest[:12]}..., {CONFIG} says "
            f"{values['sha256'][:12]}...: damaged, or of another model; copy or download it again"
        )
    return ExportedModel(
        {stage: check_config(values[stage], registered_only=True) for stage in PREFIXES},
        values["vocabulary"],
        {name: value.float() for name, value in read_tensors(folder / WEIGHTS).items()},
        values["resize"],
        values["facts"],
        digest,
    )
