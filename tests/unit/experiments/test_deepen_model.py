"""A model with more blocks answers as before, until it is trained."""

from unittest import mock

import numpy as np
import pytest
import torch

from experiments.deepen_model import deepen
from lapse.inference.pretrained import DEFAULT, AnswerOptions, Lapse, ModelParts
from lapse.inference.pretrained.export import read_folder


def films() -> torch.Tensor:
    coarse = np.random.default_rng(0).integers(0, 256, (2, 1, 8, 8), np.uint8)
    return torch.from_numpy(coarse.repeat(16, axis=2).repeat(16, axis=3))


def tokens(parts: ModelParts) -> torch.Tensor:
    assert parts.encode is not None
    with torch.inference_mode():
        return parts.encode(films())


def test_a_deeper_model_gives_the_same_answers():
    parts = read_folder(DEFAULT)
    deeper = deepen(parts, encoder_layers=2, language_layers=5)
    assert deeper.pretrain.model["encoder"]["layers"] == 2
    assert deeper.diffvqa.model["language_model"]["layers"] == 5
    assert len(deeper.encoder.blocks) == 2
    assert torch.equal(tokens(deeper), tokens(parts))
    images = [film[0].numpy() for film in films()]
    unguarded = AnswerOptions(guarded=False, allow_unusual=True)
    first, second = (Lapse(model).compare(*images, options=unguarded) for model in (parts, deeper))
    assert first.answer.text == second.answer.text
    assert first.answer.confidence == pytest.approx(second.answer.confidence)
    assert first.boxes == second.boxes


def test_blocks_that_are_not_zero_change_the_answers():
    parts = read_folder(DEFAULT)
    with mock.patch("torch.nn.init.zeros_"):
        deeper = deepen(parts, encoder_layers=2, language_layers=4)
    assert not torch.equal(tokens(deeper), tokens(parts))
