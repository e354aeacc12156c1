"""Write the folder of a trained model from two runs, and read it (`lapse.training.exported_model`).

Both stages share one encoder, which is stored once. Weights are float16 on disk and float32 in
use. A trimmed vocabulary keeps GPT-2's ids, so that the full table can be restored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lapse.config import RunConfig
from lapse.core.files import sha256_of, usual_mode, write_text
from lapse.core.tokenizer import Tokenizer
from lapse.core.version import __version__
from lapse.images import ImageProcessing
from lapse.inference.checks import check_file
from lapse.inference.checks.checker import Encode
from lapse.inference.checks.pixel_check import PixelCheck
from lapse.metrics.guard import GuardRule
from lapse.metrics.probability import Calibration, parse_calibration
from lapse.models.interface import FeatureModel, TrainableModel, has_encoder
from lapse.training import run_folder
from lapse.training.checkpoint import result_checkpoint
from lapse.training.exported_model import (
    CARD,
    CHECK,
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
from lapse.training.weight_files import read_tensors


@dataclass(frozen=True, slots=True)
class ModelParts:
    """The models of a folder and their configurations.

    Attributes:
        captioner: stage 1, in evaluation mode.
        answerer: stage 2; its encoder is the captioner's.
        pretrain: resolved configuration of stage 1.
        diffvqa: resolved configuration of stage 2.
        processing: of the training images, which inference repeats.
        facts: what the models were trained on; printed on the model card.
        pixel_check: fitted to the encoder (`lapse.inference.pretrained.fit_guards`).
        guard: limits of guarded answers, chosen for the answerer.
        calibration: from the confidence of its changes to probabilities.
    """

    captioner: TrainableModel
    answerer: TrainableModel
    pretrain: RunConfig
    diffvqa: RunConfig
    processing: ImageProcessing
    facts: Mapping[str, str]
    pixel_check: PixelCheck | None = None
    guard: GuardRule | None = None
    calibration: Calibration | None = None

    @property
    def encoder(self) -> nn.Module:
        """The encoder of both stages."""
        if not has_encoder(self.captioner):
            raise ValueError(f"{self.pretrain.model_type!r} has no encoder: nothing to share")
        return self.captioner.encoder

    @property
    def encode(self) -> Encode | None:
        """The encoder as a function of uint8 images [U, 1, S, S]; None for other models."""
        captioner = self.captioner
        if not isinstance(captioner, FeatureModel):
            return None
        model: FeatureModel = captioner
        device = next(captioner.parameters()).device
        return lambda images: model.encode(images.to(device))


def from_runs(stage1: Path, stage2: Path, *, facts: Mapping[str, str] | None = None) -> ModelParts:
    """Join the newest valid checkpoints of a stage-1 run and of a stage-2 run built on it.

    Args:
        stage1: run folder of the captioner.
        stage2: run folder of the answerer, with the encoder of `stage1`.
        facts: what the models were trained on; the facts of the runs are added.

    Raises:
        ValueError: a folder is not a run of its stage, or the encoders or the processing of
            their images differ.
    """
    facts = dict(facts or {})
    stages = []
    for stage, folder in (("pretrain", stage1), ("diffvqa", stage2)):
        config = run_folder.read_config(folder)
        if config.stage != stage:
            raise ValueError(
                f"run {folder} is of stage {config.stage!r}, expected {stage!r}: give the stage-1 "
                "run first, then the stage-2 run"
            )
        checkpoint = result_checkpoint(folder, config.train.keep).checkpoint
        if checkpoint is None:
            raise ValueError(f"run {folder} has no valid checkpoint: train it first")
        run_facts = run_folder.read_facts(folder)
        facts[f"{stage}: configuration"] = config.name
        facts[f"{stage}: steps"] = str(checkpoint.step)
        if config.init_model is not None:
            digest = read_init_report(folder).sha256.get("init_model")
            facts[f"{stage}: initialized from"] = _describe_source(config.init_model, digest)
        facts[f"{stage}: data"] = str(run_facts["data"])
        tensors = read_tensors(checkpoint.folder / "model.safetensors")
        stages.append((config, run_folder.read_tokenizer(folder), tensors))
    (pretrain, tokenizer1, tensors1), (diffvqa, tokenizer2, tensors2) = stages
    _check_same_encoder(tensors1, tensors2)
    captioner = _load_model(pretrain, tokenizer1, tensors1)
    answerer = _load_model(diffvqa, tokenizer2, tensors2)
    processing = _same_processing(stage1, stage2)
    return _share_encoder(ModelParts(captioner, answerer, pretrain, diffvqa, processing, facts))


def write_folder(folder: Path, parts: ModelParts, card: str) -> int:
    """Write weights, configuration and model card; returns the bytes of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for prefix, model in zip(PREFIXES.values(), (parts.captioner, parts.answerer), strict=True):
        parameters = {name for name, _ in model.named_parameters()}
        for name, value in model.state_dict().items():
            key = name if name.startswith(ENCODER) else prefix + name
            dtype = torch.float16 if name in parameters else value.dtype  # buffers keep theirs
            tensors[key] = value.detach().to("cpu", dtype).contiguous().clone()
    with usual_mode(folder / WEIGHTS):
        save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    digest = sha256_of(folder / WEIGHTS)
    values = {
        "library_name": LIBRARY,
        "format": FORMAT,
        "version": __version__,
        **asdict(parts.processing),
        "facts": dict(parts.facts),
        "sha256": digest,
        "vocabulary": {
            stage: None if model.tokenizer.kept is None else list(model.tokenizer.kept)
            for stage, model in (("pretrain", parts.captioner), ("diffvqa", parts.answerer))
        },
        "pretrain": parts.pretrain.model_dump(mode="json"),
        "diffvqa": run_folder.skip_pretrained_weights(parts.diffvqa).model_dump(mode="json"),
    }
    if parts.pixel_check is not None:
        with usual_mode(folder / CHECK):
            save_file(check_file.check_tensors(parts.pixel_check), folder / CHECK, {"format": "pt"})
        values["input_check"] = {
            **check_file.check_values(parts.pixel_check),
            "sha256": sha256_of(folder / CHECK),
            "weights": digest,
        }
    if parts.guard is not None:
        values["guard"] = {**check_file.rule_values(parts.guard), "weights": digest}
    if parts.calibration is not None:
        values["calibration"] = {**asdict(parts.calibration), "weights": digest}
    write_text(folder / CONFIG, json.dumps(values) + "\n")
    write_text(folder / CARD, card)
    return (folder / WEIGHTS).stat().st_size


def read_folder(folder: Path) -> ModelParts:
    """Read a model folder; the models are on the CPU.

    Raises:
        ValueError: a file is missing, of another format, or damaged (its SHA-256 differs).
    """
    exported = read_exported_model(folder)
    captioner, answerer = (
        _load_model(config, Tokenizer(exported.kept[stage]), exported.tensors(stage))
        for stage, config in exported.configs.items()
    )
    pretrain, diffvqa = exported.configs.values()
    return _share_encoder(
        ModelParts(
            captioner,
            answerer,
            pretrain,
            diffvqa,
            exported.processing,
            exported.facts,
            check_file.parse_check(exported.input_check, exported.input_check_values),
            check_file.parse_rule(exported.guard),
            parse_calibration(dict(exported.calibration), f"{folder / CONFIG}, calibration")
            if exported.calibration
            else None,
        )
    )


def _load_model(
    config: RunConfig, tokenizer: Tokenizer, tensors: Mapping[str, Tensor]
) -> TrainableModel:
    model = run_folder.build_model(run_folder.skip_pretrained_weights(config), tokenizer)
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise ValueError(f"the weights do not fit {config.name!r}: {error}") from None
    return model.eval()


def _share_encoder(parts: ModelParts) -> ModelParts:
    """Keep one encoder in memory for both stages; freeze both models."""
    if has_encoder(parts.answerer):
        parts.answerer.encoder = parts.encoder
    for model in (parts.captioner, parts.answerer):
        model.requires_grad_(False)
    return parts


def _describe_source(source: str, digest: str | None) -> str:
    """The source of initial weights, without paths of the training machine."""
    if digest is None:
        return f"run {Path(source).name}"
    name = "the packaged model" if source == PACKAGED else f"model {Path(source).name}"
    return f"{name}, SHA-256 {digest[:12]}..."


def _same_processing(stage1: Path, stage2: Path) -> ImageProcessing:
    first, second = run_folder.read_processing(stage1), run_folder.read_processing(stage2)
    if first != second:
        raise ValueError(
            f"{stage1} was trained on images by {first} and {stage2} on images by {second}: one "
            "model reads every image in one way; train both on the same store"
        )
    return first


def _check_same_encoder(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
    names, others = ({n for n in part if n.startswith(ENCODER)} for part in (first, second))
    if names != others or not all(torch.equal(first[name], second[name]) for name in names):
        raise ValueError(
            "the two runs have different encoders: stage 2 must be trained with "
            "init_encoder=STAGE-1 RUN, frozen, from its newest checkpoint"
        )
