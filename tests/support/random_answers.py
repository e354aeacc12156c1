"""A model that answers by a random function of both images, for laws that hold for any weights."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from torch import nn

from lapse.config import GenerationConfig
from lapse.core.changes import Change, contradictions, render
from lapse.core.findings import FINDINGS
from lapse.core.tokenizer import Tokenizer
from lapse.core.types import Candidate
from lapse.data.loading.batch import Batch

LEVELS = ("mild", "moderate", "severe")


def random_changes(draw: np.random.Generator, most: int = 4) -> frozenset[Change]:
    """Up to `most` changes, at most one of each finding."""
    changes = []
    for index in draw.permutation(len(FINDINGS))[: draw.integers(0, most + 1)]:
        kind = ("added", "missing", "level")[draw.integers(3)]
        levels = draw.permutation(LEVELS)[:2] if kind == "level" else ("", "")
        changes.append(Change(FINDINGS[index], kind, *map(str, levels)))
    assert not contradictions(changes)
    return frozenset(changes)


def random_beam(draw: np.random.Generator, common: frozenset[Change], size: int) -> list[Candidate]:
    """Hypotheses that mostly contain the common changes, each with some further ones."""
    texts: dict[str, None] = {}
    while len(texts) < size:
        kept = {change for change in sorted(common) if draw.random() < 0.9}
        texts.setdefault(render(kept | random_changes(draw, 2)))
    logs = -np.sort(draw.exponential(2.0, size))
    return [Candidate(text, float(log), 5) for text, log in zip(texts, logs, strict=True)]


class RandomAnswers(nn.Module):
    """Beams that depend on both images, their order and every pixel.

    The difference of the findings that the images' brightness implies is common to all beams of a
    pair, so that some changes pass a guard.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.unused = nn.Parameter(torch.zeros(1))
        self.tokenizer = Tokenizer()

    def candidates(self, batch: Batch, generation: GenerationConfig) -> list[list[Candidate]]:
        images = batch.images.numpy()
        return [self._beam(images[first], images[second]) for first, second in batch.image_index]

    def _beam(self, first: np.ndarray, second: np.ndarray) -> list[Candidate]:
        digest = hashlib.sha256(str(self.seed).encode() + first.tobytes() + second.tobytes())
        draw = np.random.default_rng(int.from_bytes(digest.digest()[:8], "big"))
        before, after = self._findings(first), self._findings(second)
        common = {Change(name, "added") for name in after - before}
        common |= {Change(name, "missing") for name in before - after}
        return random_beam(draw, frozenset(common), 4)

    def _findings(self, image: np.ndarray) -> set[str]:
        """The findings of an image: by the brightness of its quarters, in coarse steps."""
        half = image.shape[-1] // 2
        quarters = [image[..., :half, :half], image[..., half:, half:], image[..., :half, half:]]
        return {
            FINDINGS[number]
            for number, part in enumerate(quarters)
            if math.floor(float(part.mean()) / 60) % 2
        }

    def answer(self, batch: Batch, generation: GenerationConfig) -> list[str]:
        return [beam[0].text for beam in self.candidates(batch, generation)]

    def loss(self, batch: Batch) -> dict:
        raise AssertionError("this model is not trained")

    def weight(self, batch: Batch) -> float:
        return 1.0
