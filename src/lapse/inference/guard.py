"""Guarded answers of a model: six readings of a pair of films, and a null test, in one batch.

    readings    a b            the pair                     b a            exchanged, inverted
                a' b           reference brighter           b' a           exchanged, inverted
                a b"           main film moved              b a"           exchanged, inverted
    null test   a a'  a a"     the film and the same film   b b'  b b"
                               perturbed must not differ

' is gamma 0.85 and " a shift of 2%. The set is closed under exchange, and it is always read with
the films in one order (that of their pixels), so the answer to the exchanged pair is exactly the
inverted answer, whatever the weights are. Two films with equal pixels are "unchanged" without a
reading. `lapse.metrics.guard` combines the readings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from lapse.core.types import Sample
from lapse.data.loading.batch_stream import Pixels
from lapse.inference.generate import GeneratedAnswer, GenerateOptions, generate
from lapse.metrics.guard import Evidence, combine, reading_of
from lapse.models.interface import TrainableModel

Image = NDArray[np.uint8]

GAMMA = 0.85
SHIFT = 0.02  # fraction of the image side, to the right and down
BRIGHT, MOVED = "~gamma", "~shift"  # ends of the keys of perturbed images
READINGS = (("a", "b"), (f"a{BRIGHT}", "b"), ("a", f"b{MOVED}"))  # and the same of (b, a)
NULL_READINGS = (("a", f"a{BRIGHT}"), ("a", f"a{MOVED}"))  # and the same of b
NUM_READINGS = 2 * len(READINGS)
PLAIN = 0  # index of the reading of the pair itself
IDENTICAL = Evidence({}, {}, is_unchanged=True)


@dataclass(frozen=True, slots=True)
class GuardedGeneration:
    """What a model generates for one sample of two images.

    Attributes:
        plain: the answer by beam search to the pair alone.
        is_identical: both images have the same pixels.
    """

    plain: GeneratedAnswer
    evidence: Evidence
    is_identical: bool


def generate_guarded(
    model: TrainableModel, samples: Sequence[Sample], pixels: Pixels, options: GenerateOptions
) -> list[GuardedGeneration]:
    """The combined readings of each sample, in order.

    Args:
        model: keeps the hypotheses of beam search (`CandidateModel`).
        samples: difference questions with two images each.
        pixels: image key -> [S, S] uint8.
        options: generation and limits; the confidence must not be "none".

    Raises:
        ValueError: a sample of one image, or as `generate`.
    """
    for sample in samples:
        if len(sample.images) != 2:
            raise ValueError(f"sample {sample.id} has one image: a guarded answer needs two")
    size = max(1, options.generation.batch_size)
    groups = [samples[start : start + size] for start in range(0, len(samples), size)]
    return [answer for group in groups for answer in _generate_group(model, group, pixels, options)]


def _generate_group(
    model: TrainableModel, samples: Sequence[Sample], pixels: Pixels, options: GenerateOptions
) -> list[GuardedGeneration]:
    plans = [_plan(sample, pixels) for sample in samples]
    wanted = [reading for plan in plans for reading in plan.samples]
    rows = len(plans[0].samples) if len(plans) == 1 else options.generation.batch_size
    generation = options.generation.model_copy(update={"batch_size": rows})
    options = replace(options, generation=generation)
    answers = iter(generate(model, wanted, _perturbed_pixels(pixels), options))
    return [plan.combined(list(islice(answers, len(plan.samples)))) for plan in plans]


@dataclass(frozen=True, slots=True)
class _Plan:
    """The samples to read for one pair: the readings, the exchanged readings, the null test."""

    samples: tuple[Sample, ...]
    is_exchanged: bool
    is_identical: bool

    def combined(self, answers: Sequence[GeneratedAnswer]) -> GuardedGeneration:
        if self.is_identical:
            return GuardedGeneration(answers[PLAIN], IDENTICAL, is_identical=True)
        readings = [reading_of(answer.candidates) for answer in answers]
        count = len(READINGS)
        exchanged = [reading.inverse() for reading in readings[count : 2 * count]]
        evidence = combine(readings[:count] + exchanged, readings[2 * count :])
        if self.is_exchanged:
            return GuardedGeneration(answers[count], evidence.inverse(), is_identical=False)
        return GuardedGeneration(answers[PLAIN], evidence, is_identical=False)


def _plan(sample: Sample, pixels: Pixels) -> _Plan:
    first, second = (np.asarray(pixels(key)) for key in sample.images)
    if np.array_equal(first, second):
        return _Plan((sample,), is_exchanged=False, is_identical=True)
    is_exchanged = first.tobytes() > second.tobytes()
    a, b = reversed(sample.images) if is_exchanged else sample.images
    forward = {"a": a, "b": b}
    backward = {"a": b, "b": a}
    pairs = [
        tuple(films[name[0]] + name[1:] for name in names)
        for readings in (READINGS, NULL_READINGS)
        for films in (forward, backward)
        for names in readings
    ]
    return _Plan(
        tuple(
            replace(sample, id=f"{sample.id}/{row}", images=images)
            for row, images in enumerate(pairs)
        ),
        is_exchanged,
        is_identical=False,
    )


def _perturbed_pixels(pixels: Pixels) -> Pixels:
    """An image source that adds the perturbed images to another source."""

    def read(key: str) -> Image:
        if key.endswith(BRIGHT):
            return brighter(np.asarray(pixels(key.removesuffix(BRIGHT))))
        if key.endswith(MOVED):
            return moved(np.asarray(pixels(key.removesuffix(MOVED))))
        return pixels(key)

    return read


def brighter(image: Image) -> Image:
    """An image with gamma 0.85. # [S, S]"""
    grey = 255.0 * (image / 255.0) ** GAMMA
    return np.rint(grey).astype(np.uint8)


def moved(image: Image) -> Image:
    """An image moved by 2% to the right and down; the border is repeated. # [S, S]"""
    step = max(1, round(SHIFT * image.shape[0]))
    return np.pad(image, ((step, 0), (step, 0)), mode="edge")[:-step, :-step]
