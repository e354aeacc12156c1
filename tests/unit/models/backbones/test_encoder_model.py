"""Frozen parts stay frozen, cached tokens replace images, encoders are loaded completely."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from contrastive_samples import ENCODER, TOKENIZER, batch, reports
from lapse.models.backbones.encoder_model import EncoderModel


def build(is_encoder_trained: bool) -> EncoderModel:
    torch.manual_seed(0)
    model = EncoderModel(ENCODER, TOKENIZER, is_encoder_trained=is_encoder_trained)
    model.head = nn.Linear(ENCODER.width, 2)
    return model


def test_frozen_parts_stay_in_evaluation_mode_without_gradients():
    model = build(is_encoder_trained=False)
    model.freeze("head")
    model.train()
    assert model.training and not model.encoder.training and not model.head.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model.image_tokens(batch(reports())).requires_grad


def test_a_trained_encoder_follows_the_mode():
    model = build(is_encoder_trained=True).train()
    assert model.encoder.training and model.image_tokens(batch(reports())).requires_grad
    assert not model.eval().encoder.training


def test_cached_tokens_replace_the_images():
    model, inputs = build(is_encoder_trained=False), batch(reports())
    tokens = model.encode(inputs.images)
    assert tokens.shape == (4, ENCODER.num_tokens, ENCODER.width)
    assert torch.equal(model.image_tokens(inputs), tokens)
    assert torch.equal(model.image_tokens(replace(inputs, features=tokens + 1)), tokens + 1)


def test_an_incomplete_encoder_is_refused():
    state = build(is_encoder_trained=False).encoder.state_dict()
    del state["positions"]
    with pytest.raises(RuntimeError, match="Missing key"):
        build(is_encoder_trained=False).load_encoder(state)
