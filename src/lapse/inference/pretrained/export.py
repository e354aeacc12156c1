"""The folder of a trained model, of two runs and into models; its files:
`lapse.training.exported_model`.

The encoder of both stages is one and stands once. Weights are stored as float16 and computed
with as float32. A trimmed vocabulary keeps GPT-2's ids, so that the full table can be restored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lapse.config import RunConfig
from lapse.core.files import sha256_of, write_text
from lapse.core.tokenizer import Tokenizer
from lapse.core.types import nearest
from lapse.core.version import __version__
from lapse.images import RESIZES
from lapse.models.interface import TrainableModel, has_encoder
from lapse.training.checkpoint import latest_valid_checkpoint, read_tensors
from lapse.training.exported_model import (
    CARD,
    CONFIG,
    ENCODER,
    FORMAT,
    LIBRARY,
    PACKAGED,
    PREFIXES,
    WEIGHTS,
    read_exported_model,
)
from lapse.training.initialization import read_init_report
from lapse.training.run_folder import (
    FACTS,
    build_model,
    read_config,
    read_tokenizer,
    skip_pretrained_weights,
)


@dataclass(frozen=True, slots=True)
class ModelParts:
    """What a model folder holds.

    Attributes:
        captioner: stage 1, in evaluation mode.
        answerer: stage 2; its encoder is the captioner's.
        pretrain: resolved configuration of stage 1.
        diffvqa: resolved configuration of stage 2.
        resize: how training images were made square.
        facts: what it was trained on, in words; printed on the card.
    """

    captioner: TrainableModel
    answerer: TrainableModel
    pretrain: RunConfig
    diffvqa: RunConfig
    resize: str
    facts: Mapping[str, str]

    @property
    def encoder(self) -> nn.Module:
        """The encoder of both stages."""
        if not has_encoder(self.captioner):
            raise ValueError(f"{self.pretrain.model_type!r} has no encoder: nothing to share")
        return self.captioner.encoder


def from_runs(
    stage1: Path, stage2: Path, *, resize: str = "squash", facts: Mapping[str, str] | None = None
) -> ModelParts:
    """Join the newest whole checkpoints of a stage-1 run and of a stage-2 run built on it.

    Raises:
        ValueError: a folder is no such run, the stages are exchanged, the encoders differ, or
            there is no such way to resize.
    """
    if resize not in RESIZES:
        raise ValueError(f"no way to resize by {resize!r}; {nearest(resize, list(RESIZES))}")
    told = dict(facts or {})
    found = []
    for stage, folder in (("pretrain", stage1), ("diffvqa", stage2)):
        config = read_config(folder)
        if config.stage != stage:
            raise ValueError(
                f"run {folder} is of stage {config.stage!r}, wanted {stage!r}: give the stage-1 "
                "run first, then the stage-2 run"
            )
        checkpoint = latest_valid_checkpoint(folder).checkpoint
        if checkpoint is None:
            raise ValueError(f"run {folder} has no valid checkpoint: train it first")
        run_facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        told[f"{stage}: configuration"] = config.name
        told[f"{stage}: steps"] = str(checkpoint.step)
        if config.init_model is not None:
            digest = read_init_report(folder).sha256.get("init_model")
            told[f"{stage}: began with"] = f"the weights of {_named(config.init_model, digest)}"
        told[f"{stage}: data"] = str(run_facts["data"])
        tensors = read_tensors(checkpoint.folder / "model.safetensors")
        found.append((config, read_tokenizer(folder), tensors))
    (pretrain, words1, tensors1), (diffvqa, words2, tensors2) = found
    _check_one_encoder(tensors1, tensors2)
    captioner = _model(pretrain, words1, tensors1)
    answerer = _model(diffvqa, words2, tensors2)
    return _joined(ModelParts(captioner, answerer, pretrain, diffvqa, resize, told))


def write_folder(folder: Path, parts: ModelParts, card: str) -> int:
    """Write the three files; returns the bytes of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for prefix, model in zip(PREFIXES.values(), (parts.captioner, parts.answerer), strict=True):
        halved = {name for name, _ in model.named_parameters()}
        for name, value in model.state_dict().items():
            key = name if name.startswith(ENCODER) else prefix + name
            kind = torch.float16 if name in halved else value.dtype  # counts and variances stay
            tensors[key] = value.detach().to("cpu", kind).contiguous().clone()
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    values = {
        "library_name": LIBRARY,
        "format": FORMAT,
        "version": __version__,
        "resize": parts.resize,
        "facts": dict(parts.facts),
        "sha256": sha256_of(folder / WEIGHTS),
        "vocabulary": {
            stage: None if model.tokenizer.kept is None else list(model.tokenizer.kept)
            for stage, model in (("pretrain", parts.captioner), ("diffvqa", parts.answerer))
        },
        "pretrain": parts.pretrain.model_dump(mode="json"),
        "diffvqa": skip_pretrained_weights(parts.diffvqa).model_dump(mode="json"),
    }
    write_text(folder / CONFIG, json.dumps(values) + "\n")
    write_text(folder / CARD, card)
    return (folder / WEIGHTS).stat().st_size


def read_folder(folder: Path) -> ModelParts:
    """Open a model folder on the CPU.

    Raises:
        ValueError: a file is missing, of another format, or damaged (its SHA-256 differs).
    """
    saved = read_exported_model(folder)
    captioner, answerer = (
        _model(config, Tokenizer(saved.kept[stage]), saved.tensors(stage))
        for stage, config in saved.configs.items()
    )
    pretrain, diffvqa = saved.configs.values()
    return _joined(ModelParts(captioner, answerer, pretrain, diffvqa, saved.resize, saved.facts))


def _model(
    config: RunConfig, tokenizer: Tokenizer, tensors: Mapping[str, Tensor]
) -> TrainableModel:
    model = build_model(skip_pretrained_weights(config), tokenizer)
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise ValueError(f"the weights do not fit {config.name!r}: {error}") from None
    return model.eval()


def _joined(parts: ModelParts) -> ModelParts:
    """One encoder in the memory for both stages."""
    if has_encoder(parts.answerer):
        parts.answerer.encoder = parts.encoder
    for model in (parts.captioner, parts.answerer):
        model.requires_grad_(False)
    return parts


def _named(source: str, digest: str | None) -> str:
    """What the card calls a beginning: no path of the machine that trained."""
    if digest is None:
        return f"run {Path(source).name}"
    name = "the model in the package" if source == PACKAGED else f"model {Path(source).name}"
    return f"{name}, SHA-256 {digest[:12]}..."


def _check_one_encoder(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> None:
    mine, theirs = ({n for n in side if n.startswith(ENCODER)} for side in (one, two))
    same = mine == theirs and all(torch.equal(one[name], two[name]) for name in mine)
    if not same:
        raise ValueError(
            "the two runs have different encoders: stage 2 must be trained with "
            "init_encoder=STAGE-1 RUN, frozen, from its newest checkpoint"
        )
