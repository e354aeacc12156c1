"""Samples and pixels -> generated answers: the one implementation behind every answer of a model.

    samples -> groups of similar prompt length -> Batch -> model -> GeneratedAnswer

`predict` (with its probes), `RunModel` and `lapse.load()` all call `generate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from lapse.config import GenerationConfig
from lapse.core.types import Candidate, Sample
from lapse.data.loading.batch import Batch, collate, encode_sample
from lapse.data.loading.batch_stream import Pixels, read_pixels
from lapse.inference.answer_confidence import LEVELS, beam_confidence, clause_confidence
from lapse.models.interface import CandidateModel, ScoringModel, TrainableModel
from lapse.training.distributed import autocast

SCORED_PER_ANSWER = 4  # clause confidence scores texts in batches of 4 x generation.batch_size


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """How answers are generated.

    Attributes:
        generation: beam width, length and batch size.
        max_tokens: limit of a tokenized sample; `data.max_tokens` of the run.
        confidence: "none", "beam" or "clauses" (`lapse.inference.answer_confidence`).
        precision: "fp32", "bf16", or "auto": bf16 on a GPU; `train.precision` of the run. On a CPU
            the answers are computed in fp32, whatever it is: not every CPU is fast in bf16, and an
            exported model gives the same answers on all of them.
    """

    generation: GenerationConfig
    max_tokens: int
    confidence: str = "none"
    precision: str = "auto"

    def precision_on(self, device: torch.device) -> str:
        """The precision of answers on a device."""
        return "fp32" if device.type == "cpu" else self.precision


@dataclass(frozen=True, slots=True)
class GeneratedAnswer:
    """What a model generates for one sample.

    Attributes:
        text: the answer without surrounding blanks.
        candidates: hypotheses of beam search, best first; () with confidence "none".
        confidence: names as in `lapse.metrics.confidence`; empty with confidence "none".
        guarded: text of the guarded answer; "" where there is none.
    """

    text: str
    candidates: tuple[Candidate, ...] = ()
    confidence: dict[str, float] = field(default_factory=dict)
    guarded: str = ""


def generate(
    model: TrainableModel, samples: Sequence[Sample], pixels: Pixels, options: GenerateOptions
) -> list[GeneratedAnswer]:
    """The answer to each sample, in order; batches hold samples of similar prompt length.

    Args:
        model: in evaluation mode; its parameters are on the device that is used.
        samples: what to answer; the answer of a sample is not shown to the model.
        pixels: image key -> [S, S] uint8, at the image size of the model.

    Raises:
        ValueError: a prompt exceeds `max_tokens`, or the model cannot give the confidence.
    """
    check_confidence(model, options.confidence)
    texts = [encode_sample(sample, model.tokenizer, options.max_tokens) for sample in samples]
    lengths = [text.prompt for text in texts]
    answers: dict[int, GeneratedAnswer] = {}
    for indices in batch_indices(samples, lengths, options.generation.batch_size):
        group = [samples[index] for index in indices]
        answers |= zip(indices, generate_batch(model, group, pixels, options), strict=True)
    return [answers[index] for index in range(len(samples))]


def check_confidence(model: TrainableModel, confidence: str) -> None:
    """Refuse a confidence that this model cannot give.

    Raises:
        ValueError: unknown name, or a model without candidates or log-probabilities.
    """
    if confidence not in LEVELS:
        raise ValueError(f"no confidence {confidence!r}: one of {', '.join(LEVELS)}")
    missing = ""
    if confidence != "none" and not isinstance(model, CandidateModel):
        missing = "candidates"
    elif confidence == "clauses" and not isinstance(model, ScoringModel):
        missing = "log_probability"
    if missing:
        raise ValueError(
            f"{type(model).__name__} has no {missing}, which --confidence {confidence} needs: "
            "use a model that generates with beam search, or remove the option"
        )


def batch_indices(
    samples: Sequence[Sample], lengths: Sequence[int], size: int
) -> Iterator[list[int]]:
    """Indices of the samples of each batch: equal numbers of images, similar prompt lengths."""

    def key(index: int) -> tuple[int, int, int]:
        return len(samples[index].images), lengths[index], index

    batch: list[int] = []
    for index in sorted(range(len(samples)), key=key):
        is_full = len(batch) == size
        if batch and (is_full or len(samples[batch[0]].images) != len(samples[index].images)):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


@torch.inference_mode()
def generate_batch(
    model: TrainableModel, samples: Sequence[Sample], pixels: Pixels, options: GenerateOptions
) -> list[GeneratedAnswer]:
    """The answers of one batch, in order; the samples have equal numbers of images."""
    device = next(model.parameters()).device
    with autocast(device, options.precision_on(device)):
        batch = _collate(model, samples, pixels, options.max_tokens)
        if options.confidence == "none":
            answers = model.answer(batch, options.generation)
            return [GeneratedAnswer(text.strip()) for text in answers]
        assert isinstance(model, CandidateModel)  # as `check_confidence` requires
        candidates = model.candidates(batch, options.generation)
        confidences = [beam_confidence(hypotheses) for hypotheses in candidates]
        if options.confidence == "clauses":
            assert isinstance(model, ScoringModel)
            scoring_model = model

            def log_probabilities(group: Sequence[Sample]) -> list[float]:
                size = SCORED_PER_ANSWER * options.generation.batch_size
                values: list[float] = []
                for start in range(0, len(group), size):
                    part = _collate(model, group[start : start + size], pixels, options.max_tokens)
                    values += scoring_model.log_probability(part).tolist()
                return values

            clauses = clause_confidence(samples, candidates, log_probabilities)
            confidences = [beam | clause for beam, clause in zip(confidences, clauses, strict=True)]
        return [
            GeneratedAnswer(hypotheses[0].text.strip(), tuple(hypotheses), confidence)
            for hypotheses, confidence in zip(candidates, confidences, strict=True)
        ]


def _collate(
    model: TrainableModel, samples: Sequence[Sample], pixels: Pixels, max_tokens: int
) -> Batch:
    texts = [encode_sample(sample, model.tokenizer, max_tokens) for sample in samples]
    device = next(model.parameters()).device
    return collate(samples, texts, read_pixels(pixels, samples)).to(device)
