"""What a prediction job runs: a protocol, and the models of this package behind it.

run folder | exported model | "packaged" | hub id  --open_answerer-->  Answerer
hf:folder | hf:hub id (`image_text_model`)         ----------------->  Answerer
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from lapse.config import RunConfig
from lapse.core import registry
from lapse.core.types import Sample, nearest
from lapse.data.loading.batch import encode_sample, image_keys
from lapse.data.loading.batch_stream import Pixels
from lapse.data.loading.records import check_image_size
from lapse.data.store.store import Store
from lapse.images import ImageProcessing
from lapse.inference.checks.checker import InputChecker
from lapse.inference.generate import (
    GeneratedAnswer,
    GenerateOptions,
    check_confidence,
    generate_batch,
)
from lapse.inference.guard import generate_guarded
from lapse.inference.image_text_model import (
    SCHEME,
    ImageTextAnswerer,
    open_image_text_model,
)
from lapse.inference.predict_options import PredictOptions
from lapse.inference.pretrained.export import ModelParts, read_folder
from lapse.inference.pretrained.model import model_folder
from lapse.metrics.guard import UNUSUAL, GuardRule, decide
from lapse.models.interface import TrainableModel
from lapse.training.distributed import pick_device
from lapse.training.exported_model import PACKAGED
from lapse.training.feature_cache import compute_dtype, weights_hash
from lapse.training.run_folder import CONFIG, LoadedRun, load_run

# level of the input check -> number in a predictions file
UNUSUAL_GRADES = {"": 0.0, "warning": 0.5, "refused": 1.0}


@runtime_checkable
class Answerer(Protocol):
    """A system that answers samples in batches.

    Attributes:
        tasks: names of the tasks that it answers by default.
        facts: everything but the samples that changes its answers, such as a hash of the weights.
            An interrupted job continues with equal facts only.
    """

    @property
    def tasks(self) -> tuple[str, ...]: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def facts(self) -> Mapping[str, str]: ...

    def check_store(self, store: Store) -> None:
        """Refuse a store whose images it cannot read.

        Raises:
            ValueError: says what differs.
        """
        ...

    def prompt_length(self, sample: Sample) -> int:
        """The length of the prompt; batches have similar lengths.

        Raises:
            ValueError: the prompt is too long.
        """
        ...

    def answer(self, samples: Sequence[Sample], pixels: Pixels) -> list[GeneratedAnswer]:
        """The answers of one batch, in order. All samples have the same number of images."""
        ...


@dataclass(frozen=True, slots=True)
class ModelGuards:
    """What a model folder says about its images and guarded answers.

    Attributes:
        processing: of the images of the training store; None if unknown.
        rule: limits of guarded answers; those of a run folder were not chosen.
    """

    processing: ImageProcessing | None = None
    rule: GuardRule = field(default_factory=GuardRule)
    checker: InputChecker = field(default_factory=InputChecker)

    def unusual_input(self, samples: Sequence[Sample], pixels: Pixels) -> list[dict[str, float]]:
        """The result of the input check for each sample; {} for a model without one."""
        if self.checker.pixel_check is None:
            return [{} for _ in samples]
        keys = image_keys(samples)
        levels = self.checker.levels(np.stack([np.asarray(pixels(key)) for key in keys]))
        grades = dict(zip(keys, (UNUSUAL_GRADES[level] for level in levels), strict=True))
        return [{UNUSUAL: max(grades[key] for key in sample.images)} for sample in samples]


class ModelAnswerer:
    """A model of this package in evaluation mode.

    Args:
        config: of the run that trained it; its precision is used.

    Raises:
        ValueError: the model cannot give the confidence.
    """

    def __init__(
        self,
        model: TrainableModel,
        config: RunConfig,
        options: PredictOptions,
        *,
        guards: ModelGuards | None = None,
    ) -> None:
        confidence = options.confidence
        if options.guarded and confidence == "none":
            confidence = "beam"  # a guarded answer is made from the hypotheses of beam search
        check_confidence(model, confidence)
        self.model, self.config = model, config
        self.guards = guards or ModelGuards()
        self.is_guarded = options.guarded
        self.tasks = options.tasks or config.data.tasks
        self.options = GenerateOptions(
            options.generation(config.generation),
            config.data.max_tokens,
            confidence,
            config.train.precision,
        )

    @property
    def batch_size(self) -> int:
        """Samples of one batch."""
        return self.options.generation.batch_size

    @property
    def facts(self) -> dict[str, str]:
        """Weights, generation settings, precision and device."""
        device = next(self.model.parameters()).device
        return {
            "weights": weights_hash(self.model),
            "generation": json.dumps(self.options.generation.model_dump(mode="json")),
            "max_tokens": str(self.options.max_tokens),
            "confidence": self.options.confidence,
            "precision": str(compute_dtype(device, self.options.precision_on(device))),
            "device": device.type,
            "guard": str(self.guards.rule) if self.is_guarded else "none",
        }

    def check_store(self, store: Store) -> None:
        """Refuse another image size, or another processing of the images."""
        check_image_size(store, self.config)
        processing = self.guards.processing
        if processing is not None and processing != store.info.processing:
            raise ValueError(
                f"the store {store.path} was prepared with {store.info.processing} and the model "
                f"reads images by {processing}: prepare the data with --resize "
                f"{processing.resize} --intensity {processing.intensity}"
            )

    def prompt_length(self, sample: Sample) -> int:
        """Tokens of the prompt."""
        return encode_sample(sample, self.model.tokenizer, self.options.max_tokens).prompt

    def answer(self, samples: Sequence[Sample], pixels: Pixels) -> list[GeneratedAnswer]:
        """The answers of one batch."""
        if not self.is_guarded or len(samples[0].images) != 2:
            return generate_batch(self.model, samples, pixels, self.options)
        generated = generate_guarded(self.model, samples, pixels, self.options)
        unusual = self.guards.unusual_input(samples, pixels)
        answers = []
        for item, values in zip(generated, unusual, strict=True):
            rule = replace(self.guards.rule, is_strict=values.get(UNUSUAL, 1.0) > 0.0)
            confidence = item.plain.confidence | item.evidence.confidence() | values
            text = decide(item.evidence, rule).text
            answers.append(replace(item.plain, confidence=confidence, guarded=text))
        return answers


def open_answerer(
    source: str | Path | LoadedRun,
    options: PredictOptions | None = None,
    *,
    device: torch.device | str | None = None,
) -> Answerer:
    """Load what a prediction job runs.

    Args:
        source: a loaded run, a run folder, an exported model, "packaged", a hub id
            "org/name@<40 hex digits>", or "hf:" and a folder or hub id of an image-text-to-text
            model of transformers.
        device: None picks a GPU if there is one; a loaded run stays on its device.

    Raises:
        ValueError: not a source, damaged files, or a confidence that the model cannot give.
    """
    options = options or PredictOptions()
    if isinstance(source, str) and source.startswith(SCHEME):
        name = source.removeprefix(SCHEME)
        loaded = open_image_text_model(name, device=device, bits=options.bits)
        return ImageTextAnswerer(loaded, options)
    if options.bits is not None:
        raise ValueError(f"--bits is for models of transformers ({SCHEME}FOLDER), got {source}")
    if isinstance(source, LoadedRun):
        return _answerer_of_run(source, options)
    folder = Path(source)
    if source != PACKAGED and folder.is_dir():
        if (folder / CONFIG).is_file():
            return _answerer_of_run(load_run(folder, device), options)
        if not (folder / "config.json").is_file():
            raise ValueError(
                f"{source} is not a run folder (no {CONFIG}) and not an exported model (no "
                "config.json)"
            )
    parts = read_folder(model_folder(str(source)))
    model, config = _stage(parts, options.tasks)
    model.to(device or pick_device())
    rule = parts.guard or GuardRule()
    guards = ModelGuards(parts.processing, rule, InputChecker(parts.pixel_check, parts.encode))
    return ModelAnswerer(model, config, options, guards=guards)


def _answerer_of_run(run: LoadedRun, options: PredictOptions) -> ModelAnswerer:
    return ModelAnswerer(run.model, run.config, options, guards=ModelGuards(run.processing))


def _stage(parts: ModelParts, tasks: Sequence[str]) -> tuple[TrainableModel, RunConfig]:
    """The model of a model folder that answers these tasks; by default the answerer."""
    stages = ((parts.answerer, parts.diffvqa), (parts.captioner, parts.pretrain))
    if not tasks:
        return stages[0]
    for model, config in stages:
        kinds = {registry.load("tasks", name).records for name in config.data.tasks}
        if all(registry.load("tasks", name).records in kinds for name in tasks):
            return model, config
    known = [name for _, config in stages for name in config.data.tasks]
    raise ValueError(
        f"no model of the folder answers the tasks {', '.join(tasks)} together: give tasks about "
        f"one image, or tasks about two; {nearest(tasks[0], known)}"
    )
