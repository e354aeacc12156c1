"""Every small model memorizes a few samples within seconds, so every gradient arrives.

The tests of complete presets are in test_overfit*.py; these use tiny models on one batch.
"""

import pytest
import torch

import contrastive_samples
import vqa_systems
from lapse.config import CaptionerConfig, DecoderConfig, GenerationConfig, LanguageModelConfig
from lapse.config.pretraining import (
    Blip2Config,
    Blip2WriterConfig,
    GlobalContrastiveConfig,
    QFormerConfig,
    RegionalContrastiveConfig,
)
from lapse.data.loading.batch import text_keys
from lapse.models.pretraining.blip2 import Blip2
from lapse.models.pretraining.blip2_generative import Blip2Writer
from lapse.models.pretraining.captioner import Captioner
from lapse.models.pretraining.global_contrastive import GlobalContrastive
from lapse.models.pretraining.regional_contrastive import RegionalContrastive

ENCODER, TEXT, TOKENIZER = (
    contrastive_samples.ENCODER,
    contrastive_samples.TEXT,
    contrastive_samples.TOKENIZER,
)
QFORMER = QFormerConfig(
    queries=4, width=24, layers=2, heads=3, mlp_width=48, max_tokens=24, dropout=0.0
)
LANGUAGE = LanguageModelConfig(width=24, layers=2, heads=3, max_positions=40, dropout=0.0)
DECODER = DecoderConfig(width=48, layers=2, heads=4, mlp_width=96, max_tokens=48)


def fit(model, batch, *, steps, learning_rate=3e-3):
    """Train on one batch; the last losses."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=learning_rate)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        losses = model.loss(batch)
        losses["loss"].backward()
        optimizer.step()
    model.eval()
    return losses


def answers_of(model, batch, num_beams):
    return model.answer(batch, GenerationConfig(num_beams=num_beams, max_new_tokens=40))


# EKAID's writer as published needs more steps: tests/integration/test_overfit_vqa.py (slow).
@pytest.mark.parametrize("name", [n for n in vqa_systems.SYSTEMS if n != "ekaid_published"])
def test_a_system_memorizes_four_pairs(name):
    model, batch = vqa_systems.build(name, label_smoothing=0.0), vqa_systems.batch()
    fit(model, batch, steps=150)
    assert answers_of(model, batch, 4) == [sample.answer for sample in vqa_systems.samples()]


@pytest.mark.parametrize("is_parallel", [False, True])
def test_the_captioner_memorizes_captions_and_regions(is_parallel):
    torch.manual_seed(0)
    samples = [*contrastive_samples.reports()[:3], *contrastive_samples.regions()[:6]]
    batch = contrastive_samples.batch(samples)
    batch.parallel[:3] = is_parallel
    config = CaptionerConfig(encoder=ENCODER, adapter_width=48, decoder=DECODER)
    model = Captioner(config, TOKENIZER)
    assert fit(model, batch, steps=120)["loss"] < 0.1
    if not is_parallel:
        assert answers_of(model, batch, 2) == [sample.answer for sample in samples]


def test_blip2_memorizes_three_images():
    torch.manual_seed(0)
    config = Blip2Config(encoder=ENCODER, qformer=QFORMER, embedding_width=16, label_smoothing=0.0)
    model = Blip2(config, TOKENIZER)
    samples = contrastive_samples.reports()[:3]
    batch = contrastive_samples.batch(samples)
    losses = fit(model, batch, steps=220, learning_rate=2e-3)
    assert losses["loss/contrast"] < 0.1 and losses["loss/matching"] < 0.3
    assert losses["loss/generation"] < 0.2
    for num_beams in (1, 3):
        assert answers_of(model, batch, num_beams) == [sample.answer for sample in samples]


def test_the_second_stage_of_blip2_memorizes_three_images():
    torch.manual_seed(0)
    config = Blip2WriterConfig(
        encoder=ENCODER,
        qformer=QFORMER,
        language_model=LANGUAGE,
        train_encoder=True,
        train_language_model=True,
    )
    model = Blip2Writer(config, TOKENIZER)
    samples = contrastive_samples.reports()[:3]
    batch = contrastive_samples.batch(samples)
    assert fit(model, batch, steps=120)["loss"] < 0.1
    assert answers_of(model, batch, 2) == [sample.answer for sample in samples]


def test_global_contrast_finds_the_report_of_each_image():
    torch.manual_seed(0)
    config = GlobalContrastiveConfig(
        encoder=ENCODER, text=TEXT, bias=-2.0, identical_texts="ignored"
    )
    model = GlobalContrastive(config, TOKENIZER)
    batch = contrastive_samples.batch(contrastive_samples.reports()[:3])
    assert fit(model, batch, steps=60)["loss"] < 0.1
    similarity = model.image_vectors(batch) @ model.text_vectors(batch).t()
    assert similarity.argmax(1).tolist() == similarity.argmax(0).tolist() == [0, 1, 2]


def test_regional_contrast_finds_the_phrase_of_each_region():
    torch.manual_seed(0)
    config = RegionalContrastiveConfig(encoder=ENCODER, text=TEXT, bias=-2.0)
    model = RegionalContrastive(config, TOKENIZER)
    batch = contrastive_samples.batch(contrastive_samples.regions())
    assert fit(model, batch, steps=80)["loss"] < 0.2
    keys = text_keys(batch)
    best = (model.image_vectors(batch) @ model.text_vectors(batch).t()).argmax(1)
    assert torch.equal(keys[best], keys)
