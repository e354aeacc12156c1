"""Candidates and probabilities of the pretraining models that generate text."""

from dataclasses import replace

import pytest
import torch

from contrastive_samples import ENCODER, TOKENIZER, batch, reports
from lapse.config import CaptionerConfig, DecoderConfig, GenerationConfig, LanguageModelConfig
from lapse.config.pretraining import Blip2Config, Blip2WriterConfig, QFormerConfig
from lapse.models.pretraining.blip2 import Blip2
from lapse.models.pretraining.blip2_generative import Blip2Writer
from lapse.models.pretraining.captioner import Captioner

QFORMER = QFormerConfig(
    queries=4, width=24, layers=2, heads=3, mlp_width=48, max_tokens=24, dropout=0.0
)
LANGUAGE = LanguageModelConfig(width=24, layers=2, heads=3, max_positions=40, dropout=0.0)
DECODER = DecoderConfig(width=24, layers=2, heads=3, mlp_width=48, max_tokens=40)
MODELS = {
    Captioner: CaptionerConfig(encoder=ENCODER, adapter_width=24, decoder=DECODER),
    Blip2: Blip2Config(encoder=ENCODER, qformer=QFORMER, embedding_width=16),
    Blip2Writer: Blip2WriterConfig(encoder=ENCODER, qformer=QFORMER, language_model=LANGUAGE),
}


def build(kind):
    torch.manual_seed(0)
    return kind(MODELS[kind], TOKENIZER).eval()


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("beams", [1, 3])
def test_the_answer_is_the_first_candidate(kind, beams):
    model, inputs = build(kind), batch(reports())
    generation = GenerationConfig(num_beams=beams, max_new_tokens=6)
    candidates = model.candidates(inputs, generation)
    assert [texts[0].text for texts in candidates] == model.answer(inputs, generation)
    assert all(len(texts) == beams for texts in candidates)


@pytest.mark.parametrize("kind", MODELS)
def test_log_probability_is_minus_the_loss_of_the_answer_tokens(kind):
    """Whatever the training targets are: with the prompt, or predicted in parallel."""
    model, inputs = build(kind), batch(reports())
    inputs.loss_mask[:, 0] = True  # a token of the prompt
    values = model.log_probability(replace(inputs, parallel=~inputs.parallel))
    for row, sample in enumerate(reports()):
        alone = batch([sample])
        alone.loss_mask[:, : int(alone.prompt_lengths)] = False
        losses = model.token_losses(alone).plain
        assert len(losses) == int(alone.lengths - alone.prompt_lengths)
        assert values[row].item() == pytest.approx(-losses.sum().item(), rel=1e-4)
