"""Two images and a question -> an answer, its parsed changes, and the research-use notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapse.config import RunConfig
from lapse.core.grammar import QUESTION_CHANGED, Change, parse
from lapse.core.types import Sample
from lapse.images import read_at
from lapse.inference.generate import GenerateOptions, generate
from lapse.metrics.confidence import BEAM, change_key
from lapse.models.interface import CandidateModel, TrainableModel
from lapse.training.run_folder import LoadedRun

RESEARCH_USE = "Research use only: not a medical device, and no diagnosis."
ROLES = ("reference", "main")  # of the two images, in the order of the model


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer about one pair of images.

    Attributes:
        text: the generated answer.
        changes: the changes that the grammar parses from it, by kind and finding.
        leftover: words that the grammar cannot parse; never dropped.
        confidence: "answer", and each change in words -> its fraction of the beam's probability;
            empty where the model has no beam. Uncalibrated: see `lapse calibrate`.
    """

    text: str
    changes: tuple[Change, ...]
    leftover: tuple[str, ...]
    confidence: Mapping[str, float] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The answer for a terminal; the last line is the research-use notice."""
        lines = [f"answer: {self.text or '(empty)'}"]
        lines += [f"  {describe(change)}{self._percent(change)}" for change in self.changes]
        lines += [f"  not understood: {words!r}" for words in self.leftover]
        return [*lines, RESEARCH_USE]

    def _percent(self, change: Change) -> str:
        confidence = self.confidence.get(change_key(change))
        return "" if confidence is None else f", {confidence:.0%} of the beam"


def describe(change: Change) -> str:
    """One change in words: "+ edema (in the main image only)"."""
    if change.kind == "added":
        return f"+ {change.finding} (in the main image only)"
    if change.kind == "missing":
        return f"- {change.finding} (in the reference image only; not proven resolved)"
    return f"~ {change.finding}: {change.before} -> {change.after}"


def answer_pair(
    run: LoadedRun, reference: Path, main: Path, question: str = QUESTION_CHANGED
) -> Answer:
    """Answer one question about two image files (JPEG, PNG with 8 or 16 bits, DICOM).

    Args:
        run: a loaded stage-2 run.
        reference: the earlier image.
        main: the image that the answer describes.
        question: preferably one of the templates of Medical-Diff-VQA; other wordings do not
            occur in training.

    Raises:
        ValueError: the run is not of stage 2, or a file cannot be read.
    """
    if run.config.stage != "diffvqa":
        raise ValueError(
            f"run {run.folder} is of stage {run.config.stage!r}: answers need a stage-2 run, "
            "trained with a diffvqa preset"
        )
    if "encoder" not in run.config.model:
        raise ValueError(
            f"run {run.folder} is of system {run.config.model_type!r}, which reads no image: there "
            "is nothing to compare"
        )
    image_size = run.config.model_config_object().encoder.image_size
    images = [read_at(path, image_size).pixels for path in (reference, main)]
    return answer_images(run.model, run.config, images, question)


def answer_images(
    model: TrainableModel,
    config: RunConfig,
    images: Sequence[NDArray[np.uint8]],
    question: str = QUESTION_CHANGED,
) -> Answer:
    """Answer one question about two images at the model's image size.

    Args:
        model: a stage-2 model in evaluation mode.
        config: of the run that trained it.
        images: reference and main, each [S, S] uint8.
        question: as for `answer_pair`.

    Raises:
        ValueError: the question is empty or too long.
    """
    if not question.strip():
        raise ValueError("the question is empty: remove it to ask the standard question")
    pixels = dict(zip(ROLES, images, strict=True))
    sample = Sample("answer", "diff_vqa", ROLES, "", question.strip(), "", " ?")
    options = GenerateOptions(
        config.generation,
        config.data.max_tokens,
        confidence="beam" if isinstance(model, CandidateModel) else "none",
        precision=config.train.precision,
    )
    ((_, generated),) = generate(model, [sample], pixels.__getitem__, options)
    parsed = parse(generated.text)
    changes = sorted(parsed.changes, key=lambda change: (change.kind, change.finding))
    confidence = _by_change(generated.confidence)
    return Answer(generated.text, tuple(changes), parsed.leftover, confidence)


def _by_change(confidence: Mapping[str, float]) -> dict[str, float]:
    """The fractions of the beam alone, under the names of the changes."""
    return {
        name.removeprefix(BEAM): value
        for name, value in confidence.items()
        if name == "answer" or name.startswith(BEAM)
    }
