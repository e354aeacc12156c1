"""Two image files and a question -> an answer, its parsed changes, and the safety sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lapse.config import RunConfig
from lapse.core.grammar import QUESTION_CHANGED, Change, parse
from lapse.core.types import Sample
from lapse.data.loading.batch import collate, encode_sample
from lapse.images import read_at
from lapse.inference.answer_confidence import beam_confidence
from lapse.metrics.confidence import BEAM, change_key
from lapse.training.run_folder import LoadedRun, TrainableModel

RESEARCH_USE = "Research use only: not a medical device, and no diagnosis."


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system said about one pair.

    Attributes:
        text: the answer as written.
        changes: what the grammar reads in it, in the order of the answer sentence.
        leftover: words that the grammar could not read; never dropped.
        confidence: "answer", and each change in words, -> its share of what beam search kept;
            empty where the system keeps no hypotheses. Uncalibrated: see `lapse calibrate`.
    """

    text: str
    changes: tuple[Change, ...]
    leftover: tuple[str, ...]
    confidence: Mapping[str, float] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The answer for a terminal, the safety sentence last."""
        lines = [f"answer: {self.text or '(empty)'}"]
        lines += [f"  {describe(change)}{self._sureness(change)}" for change in self.changes]
        lines += [f"  not understood: {words!r}" for words in self.leftover]
        return [*lines, RESEARCH_USE]

    def _sureness(self, change: Change) -> str:
        share = self.confidence.get(change_key(change))
        return "" if share is None else f", {share:.0%} of the beam"


def describe(change: Change) -> str:
    """One change in words: "+ edema (new in the main image)"."""
    if change.kind == "added":
        return f"+ {change.finding} (in the main image only)"
    if change.kind == "missing":
        return f"- {change.finding} (in the reference image only; not proven resolved)"
    return f"~ {change.finding}: {change.before} -> {change.after}"


def answer_pair(
    run: LoadedRun, reference: Path, main: Path, question: str = QUESTION_CHANGED
) -> Answer:
    """Answer one question about two image files (JPEG, PNG 8 or 16 bit, DICOM).

    Args:
        run: an opened stage-2 run.
        reference: the earlier image.
        main: the image that the answer describes.
        question: one of the templates of Medical-Diff-VQA works best; others are unseen.

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
    side = run.config.model_config_object().encoder.image_size
    images = [torch.from_numpy(read_at(path, side).pixels) for path in (reference, main)]
    return answer_images(run.model, run.config, images, question)


def answer_images(
    system: TrainableModel,
    config: RunConfig,
    images: Sequence[Tensor],
    question: str = QUESTION_CHANGED,
) -> Answer:
    """Answer one question about two images at the size that the system was trained on.

    Args:
        system: of stage 2, in evaluation mode.
        config: of the run that trained it.
        images: reference and main, each [S, S] uint8.
        question: as for `answer_pair`.

    Raises:
        ValueError: the question is empty or too long.
    """
    if not question.strip():
        raise ValueError("the question is empty: leave it out for the standard one")
    pixels = dict(zip(("reference", "main"), images, strict=True))
    sample = Sample("answer", "diff_vqa", tuple(pixels), "", question.strip(), "", " ?")
    text = encode_sample(sample, system.tokenizer, config.data.max_tokens)
    device = next(system.parameters()).device
    batch = collate([sample], [text], pixels).to(device)
    confidence: dict[str, float] = {}
    with torch.no_grad():
        if hasattr(system, "candidates"):
            found = system.candidates(batch, config.generation)[0]
            said, confidence = found[0].text.strip(), _shares(beam_confidence(found))
        else:
            said = system.answer(batch, config.generation)[0].strip()
    parsed = parse(said)
    changes = sorted(parsed.changes, key=lambda change: (change.kind, change.finding))
    return Answer(said, tuple(changes), parsed.leftover, confidence)


def _shares(found: Mapping[str, float]) -> dict[str, float]:
    """Only what is a share of the beam, under the names of the changes."""
    return {
        name.removeprefix(BEAM): value
        for name, value in found.items()
        if name == "answer" or name.startswith(BEAM)
    }
