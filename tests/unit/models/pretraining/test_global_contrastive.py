"""Global contrast equals SigLIP on our batches: logits, loss, inputs."""

import math
from dataclasses import replace

import pytest
import torch

from contrastive_samples import ENCODER, TEXT, TOKENIZER, batch, regions, reports
from lapse.config import GenerationConfig, load_config
from lapse.config.pretraining import GlobalContrastiveConfig
from lapse.core.tokenizer import Tokenizer
from lapse.models.layers.padding import answers_of
from lapse.models.pretraining.global_contrastive import GlobalContrastive
from siglip_mapping import complete_siglip

SMALL = GlobalContrastiveConfig(encoder=ENCODER, text=TEXT, bias=-2.0)


def model(**changes) -> GlobalContrastive:
    torch.manual_seed(0)
    return GlobalContrastive(SMALL.model_copy(update=changes), TOKENIZER)


def test_the_text_is_the_report_without_its_prefix():
    inputs = batch(reports())
    texts = answers_of(inputs)
    for row, sample in enumerate(reports()):
        ids = texts.tokens[row, : texts.lengths[row]].tolist()
        assert ids == [*TOKENIZER.encode(sample.answer), TOKENIZER.end]


@torch.no_grad()
def test_logits_and_loss_equal_transformers_siglip():
    method, inputs = model().eval(), batch(reports()[:3])
    siglip = complete_siglip(method, method.text.tokens.num_rows)
    texts = answers_of(inputs)
    length = int(texts.lengths.min())  # SigLIP reads padding: texts of one length
    cut = replace(inputs, lengths=inputs.prompt_lengths + length)
    rows = method.text.tokens.rows(texts.tokens[:, :length])
    pixels = inputs.images.float().div(127.5).sub(1.0).expand(-1, 3, -1, -1)
    expected = siglip(input_ids=rows, pixel_values=pixels, return_loss=True)
    logits = method.image_vectors(cut) @ method.text_vectors(cut).t()
    logits = logits * method.contrast.log_temperature.exp() + method.contrast.bias
    torch.testing.assert_close(logits, expected.logits_per_image, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(method.loss(cut)["loss"], expected.loss, rtol=1e-5, atol=1e-5)
    assert method.weight(cut) == 3


def test_the_same_report_twice_is_a_negative_only_where_asked():
    inputs = batch(reports())  # rows 1 and 3 are identical
    published, ignoring = model().loss(inputs), model(identical_texts="ignored").loss(inputs)
    assert published["loss"] > ignoring["loss"]
    distinct = batch(reports()[:3])
    assert model().loss(distinct)["loss"] == model(identical_texts="ignored").loss(distinct)["loss"]


@pytest.mark.parametrize(("rows", "accumulation"), [(32, 1), (64, 2), (2, 1)])
def test_the_default_bias_makes_random_vectors_cost_the_least(rows, accumulation):
    train = [
        f"train.batch_size={rows}",
        f"train.gradient_accumulation_steps={accumulation}",
    ]
    bias = load_config("pretrain-global-tiny", train).model["bias"]
    contrasted = rows // accumulation

    def cost(value):  # of vectors that are orthogonal to each other
        pair = torch.nn.functional.softplus(torch.tensor(-value))
        return float(pair + (contrasted - 1) * torch.nn.functional.softplus(torch.tensor(value)))

    assert bias == pytest.approx(-math.log(contrasted - 1))
    assert cost(bias) < min(cost(bias - 0.2), cost(bias + 0.2), cost(-10.0))


def test_the_log_holds_chance_temperature_and_bias():
    values = model().loss(batch(reports()))
    negatives = len(reports()) - 1
    least = math.log1p(negatives) + negatives * math.log1p(1 / negatives)
    assert float(values["loss/chance"]) == pytest.approx(least, rel=1e-5)
    assert float(values["loss/temperature"]) == pytest.approx(10.0)
    assert float(values["loss/bias"]) == pytest.approx(-2.0)


def test_several_texts_of_one_image_are_refused():
    with pytest.raises(ValueError, match="8 texts describe 4 images: global contrast needs one"):
        model().loss(batch(regions()))


def test_it_has_no_decoder_and_names_the_alternative():
    with pytest.raises(ValueError, match=r"has no decoder .* stage 2"):
        model().answer(batch(reports()), GenerationConfig())


def test_under_bf16_the_loss_is_fp32_and_close():
    method, inputs = model().eval(), batch(reports())
    exact = method.loss(inputs)["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        loss = method.loss(inputs)["loss"]
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.05)


def test_the_paper_size_on_the_meta_device():
    config = load_config("pretrain-global").model_config_object()
    with torch.device("meta"):
        paper = GlobalContrastive(config, Tokenizer())

    def millions(module):
        return sum(p.numel() for p in module.parameters()) / 1e6

    assert millions(paper.encoder) == pytest.approx(413.3, abs=0.1)
    tokens = paper.text.tokens.weight.numel() / 1e6
    assert millions(paper.text) - tokens == pytest.approx(413.0, abs=1.0)
    assert millions(paper.pool) == pytest.approx(15.2, abs=0.1)
