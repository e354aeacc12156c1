"""What a prediction job runs: a protocol, and the models of this package behind it.

run folder | exported model | "packaged" | hub id  --open_answerer-->  Answerer
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from lapse.config import RunConfig
from lapse.core import registry
from lapse.core.types import Sample, nearest
from lapse.data.loading.batch import encode_sample
from lapse.data.loading.batch_stream import Pixels
from lapse.data.loading.records import check_image_size
from lapse.data.store.store import Store
from lapse.inference.generate import (
    GeneratedAnswer,
    GenerateOptions,
    check_confidence,
    generate_batch,
)
from lapse.inference.predict_options import PredictOptions
from lapse.inference.pretrained.export import ModelParts, read_folder
from lapse.inference.pretrained.model import model_folder
from lapse.models.interface import TrainableModel
from lapse.training.distributed import pick_device
from lapse.training.exported_model import PACKAGED
from lapse.training.feature_cache import compute_dtype, weights_hash
from lapse.training.run_folder import CONFIG, LoadedRun, load_run


@runtime_checkable
class Answerer(Protocol):
    """A system that answers samples in batches.

    Attributes:
        tasks: names of the tasks that it answers by default.
        batch_size: samples of one batch.
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


class ModelAnswerer:
    """A model of this package in evaluation mode.

    Args:
        model: on its device.
        config: of the run that trained it; its precision is used.
        options: generation and confidence.
        resize: how the images of the training store became squares; None if unknown.

    Raises:
        ValueError: the model cannot give the confidence.
    """

    def __init__(
        self,
        model: TrainableModel,
        config: RunConfig,
        options: PredictOptions,
        *,
        resize: str | None = None,
    ) -> None:
        check_confidence(model, options.confidence)
        self.model, self.config, self.resize = model, config, resize
        self.tasks = options.tasks or config.data.tasks
        self.options = GenerateOptions(
            options.generation(config.generation),
            config.data.max_tokens,
            options.confidence,
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
            "precision": str(compute_dtype(device, self.options.precision)),
            "device": device.type,
        }

    def check_store(self, store: Store) -> None:
        """Refuse another image size, or another way in which images became squares."""
        check_image_size(store, self.config)
        if self.resize is not None and self.resize != store.info.resize:
            raise ValueError(
                f"the store {store.path} was prepared with --resize {store.info.resize} and the "
                f"model reads images by {self.resize}: prepare the data with --resize "
                f"{self.resize}"
            )

    def prompt_length(self, sample: Sample) -> int:
        """Tokens of the prompt."""
        return encode_sample(sample, self.model.tokenizer, self.options.max_tokens).prompt

    def answer(self, samples: Sequence[Sample], pixels: Pixels) -> list[GeneratedAnswer]:
        """The answers of one batch."""
        return generate_batch(self.model, samples, pixels, self.options)


def open_answerer(
    source: str | Path | LoadedRun,
    options: PredictOptions | None = None,
    *,
    device: torch.device | str | None = None,
) -> Answerer:
    """Load what a prediction job runs.

    Args:
        source: a loaded run, a run folder, an exported model, "packaged", or a hub id
            "org/name@<40 hex digits>".
        options: tasks, generation and confidence.
        device: None picks a GPU if there is one; a loaded run stays on its device.

    Raises:
        ValueError: not a source, damaged files, or a confidence that the model cannot give.
    """
    options = options or PredictOptions()
    if isinstance(source, LoadedRun):
        return ModelAnswerer(source.model, source.config, options)
    if source != PACKAGED and (Path(source) / CONFIG).is_file():
        run = load_run(Path(source), device)
        return ModelAnswerer(run.model, run.config, options)
    if (
        source != PACKAGED
        and Path(source).is_dir()
        and not (Path(source) / "config.json").is_file()
    ):
        raise ValueError(
            f"{source} is not a run folder (no {CONFIG}) and not an exported model (no config.json)"
        )
    parts = read_folder(model_folder(str(source)))
    model, config = _stage(parts, options.tasks)
    model.to(device or pick_device())
    return ModelAnswerer(model, config, options, resize=parts.resize)


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
