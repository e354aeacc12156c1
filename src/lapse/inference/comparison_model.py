"""Every kind of trained model that compares two films, opened by one name.

    run folder                     -> RunModel   answers without regions
    model folder, hub id, packaged -> Lapse      answers with regions and input checks from pixels

`lapse answer`, `lapse pacs` and `lapse serve` open their models here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import torch

from lapse.core.changes import QUESTION_CHANGED
from lapse.images import ImageProcessing
from lapse.inference.answer import ROLES, AnswerOptions, answer_images
from lapse.inference.checks.checker import InputChecker
from lapse.inference.checks.issues import is_unfamiliar, refuse_unusual
from lapse.inference.comparison import Comparison
from lapse.inference.pretrained.image_input import ModelImage, Source, load_model_image
from lapse.inference.pretrained.model import Lapse, load
from lapse.metrics.guard import GuardRule
from lapse.training.run_folder import CONFIG, LoadedRun, load_run, read_facts


@dataclass(frozen=True, slots=True, eq=False)
class RunModel:
    """A stage-2 run.

    It has no input check from pixels and no chosen threshold: `lapse export` adds both.

    Raises:
        ValueError: the run is not of stage 2, or its model reads no image.
    """

    run: LoadedRun

    def __post_init__(self) -> None:
        run = self.run
        if run.config.stage != "diffvqa":
            raise ValueError(
                f"run {run.folder} is of stage {run.config.stage!r}: answers need a stage-2 run, "
                "trained with a diffvqa preset"
            )
        if "encoder" not in run.config.model:
            raise ValueError(
                f"run {run.folder} is of system {run.config.model_type!r}, which reads no image: "
                "there is nothing to compare"
            )

    @property
    def image_size(self) -> int:
        """Height and width in pixels at which images are read."""
        return int(self.run.config.model_config_object().encoder.image_size)

    @property
    def processing(self) -> ImageProcessing:
        """How images are read."""
        return self.run.processing

    @property
    def tasks(self) -> Sequence[str]:
        """The tasks of the training, which name the questions that are answered."""
        return self.run.config.data.tasks

    @property
    def trained_on(self) -> str:
        """The training data, by the start of its hash."""
        data = str(read_facts(self.run.folder).get("data", ""))[:12]
        return f"data {data}..., not described" if data else "unknown data"

    @property
    def facts(self) -> Mapping[str, str]:
        """Name and steps of the run, as outputs state them."""
        return {"model": f"run {self.run.config.name}", "steps": str(self.run.step)}

    def compare(
        self,
        reference: Source | ModelImage,
        main: Source | ModelImage,
        question: str = QUESTION_CHANGED,
        options: AnswerOptions | None = None,
    ) -> Comparison:
        """As `Lapse.compare`, without regions."""
        options = options or AnswerOptions()
        images = {
            role: load_model_image(image, self.image_size, self.processing)
            for role, image in zip(ROLES, (reference, main), strict=True)
        }
        facts = options.facts or [image.facts for image in images.values()]
        pixels = [image.pixels for image in images.values()]
        named = {f"{role} image": item for role, item in zip(ROLES, facts, strict=True)}
        issues = InputChecker().issues(named, pixels)
        refuse_unusual(issues, allow_unusual=options.allow_unusual)
        rule = GuardRule(is_strict=is_unfamiliar(issues)) if options.guarded else None
        answer = answer_images(self.run.model, self.run.config, pixels, question, rule=rule)
        answer = replace(answer, issues=(*issues, *answer.issues), trained_on=self.trained_on)
        shown = {role: image.film() for role, image in images.items()}
        return Comparison(answer, {}, question=question, model=self.facts, films=shown)


ComparisonModel: TypeAlias = RunModel | Lapse


def open_model(name: str = "", *, device: str | torch.device | None = None) -> ComparisonModel:
    """Load a model that compares two films.

    Args:
        name: a stage-2 run folder, a model folder, "packaged", or a hub id
            "org/name@<40 hex digits>"; "" for the packaged model.
        device: default: the GPU if there is one.

    Raises:
        ValueError: no such folder, a hub id without a pinned revision, damaged files, or a run
            that does not compare films.
    """
    if name and (Path(name) / CONFIG).is_file():
        return RunModel(load_run(Path(name), device))
    return load(name or None, device=device)
