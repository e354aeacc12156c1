"""Analytic counts against the counter of torch at small sizes, and at the sizes of the paper."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import flops, inputs
from benchmarks.encode_once import separate_images
from lapse.config import (
    CaptionerConfig,
    DecoderConfig,
    EncoderConfig,
    LanguageModelConfig,
    PrefixLMConfig,
    load_config,
)
from lapse.models.backbones.vision_encoder import VisionEncoder
from lapse.models.pretraining.captioner import Captioner
from lapse.models.vqa.prefix_lm import PrefixLM

TERA, GIGA = 1e12, 1e9
VISION = EncoderConfig(
    image_size=64, patch_size=8, channels=1, width=48, layers=3, heads=3, mlp_width=96
)
VOCABULARY = 300
KEPT = inputs.small_tokenizer(VOCABULARY)


def measure_flops(job) -> int:
    """Operations by the counter of torch, which does not count fused attention on CPUs."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        job()
    return counter.get_total_flops()


@pytest.mark.parametrize("shares_image", [True, False])
def test_a_pretraining_step(shares_image):
    sizes = CaptionerConfig(
        encoder=VISION,
        adapter_width=40,
        decoder=DecoderConfig(width=32, layers=2, heads=2, mlp_width=64, max_tokens=32),
    )
    torch.manual_seed(0)
    model = Captioner(sizes, KEPT)
    batch = inputs.captions(64, 2, [24, 24, 24], KEPT.kept)
    batch = batch if shares_image else separate_images(batch)
    measured = measure_flops(lambda: model.loss(batch)["loss"].backward())
    expected = flops.pretraining_step(
        sizes,
        [[24] * 3] * 2,
        int(batch.loss_mask.sum()),
        vocabulary=VOCABULARY,
        shares_image=shares_image,
    )
    assert measured == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("is_cached", [True, False])
def test_a_fine_tuning_step(is_cached):
    sizes = PrefixLMConfig(
        encoder=VISION,
        language_model=LanguageModelConfig(
            width=40, layers=2, heads=2, max_positions=64, dropout=0.0
        ),
    )
    torch.manual_seed(0)
    model = PrefixLM(sizes, KEPT)
    batch = inputs.pairs(64, 3, KEPT.kept, question=8, answer=20)
    if is_cached:
        from lapse.data.loading.batch import with_features

        tokens = dict(
            zip((f"image-{n}" for n in range(6)), model.encode(batch.images), strict=True)
        )
        batch = with_features(batch, tokens.__getitem__)
    measured = measure_flops(lambda: model.loss(batch)["loss"].backward())
    expected = flops.finetuning_step(
        sizes, [28] * 3, 60, vocabulary=VOCABULARY, is_cached=is_cached, is_skipping=False
    )
    assert measured == pytest.approx(expected, rel=0.02)


def test_the_encoder_at_full_size_on_the_meta_device():
    sizes = load_config("pretrain-lapse").model_config_object().encoder
    with torch.device("meta"), torch.no_grad():
        model, images = VisionEncoder(sizes), torch.empty(1, 3, 448, 448)
        measured = measure_flops(lambda: model(images))
    assert measured == pytest.approx(flops.encoder(sizes), rel=0.001)
    assert flops.encoder(sizes) / TERA == pytest.approx(0.974, abs=0.002)


def test_pretraining_at_the_sizes_of_the_paper():
    sizes = load_config("pretrain-lapse").model_config_object()
    text, visual = sizes.decoder, 1024
    assert flops.cross_memory(text, visual) / GIGA == pytest.approx(51.5, abs=0.1)
    for tokens, expected in ((24, 64), (128, 117)):
        total = flops.cross_memory(text, visual) + flops.decoder(text, tokens, visual)
        total += flops.logits(tokens, text.width)
        assert total / GIGA == pytest.approx(expected, abs=1)
    single = flops.pretraining_step(sizes, [[50]], 50)
    assert single / TERA == pytest.approx(3.16, abs=0.02)
    four = flops.pretraining_step(sizes, [[50] * 4], 4 * 50)
    assert four / TERA == pytest.approx(3.38, abs=0.02)
    assert 4 * single / four == pytest.approx(3.74, abs=0.02)


def test_fine_tuning_at_the_sizes_of_the_paper():
    sizes = load_config("diffvqa-lapse").model_config_object()
    cached = flops.finetuning_step(sizes, [56], 40, is_cached=True)
    live = flops.finetuning_step(sizes, [56], 40)
    assert cached / TERA == pytest.approx(4.48, rel=0.02)
    assert (live - cached) / TERA == pytest.approx(1.95, abs=0.01)
    prefix = flops.language_model(sizes.language_model, 2048)
    assert prefix / TERA == pytest.approx(1.46, rel=0.02)
    assert flops.beam_answer(sizes, 8, 40, 10) < 1.5 * prefix
