"""Regional contrast: the loss against the full matrix, boxes, identical phrases."""

import pytest
import torch
import torch.nn.functional as F

from contrastive_samples import ENCODER, TEXT, TOKENIZER, batch, regions, reports
from lapse.config import GenerationConfig
from lapse.config.pretraining import RegionalContrastiveConfig
from lapse.data.loading.batch import text_keys
from lapse.models.pretraining.regional_contrastive import RegionalContrastive

SMALL = RegionalContrastiveConfig(encoder=ENCODER, text=TEXT, bias=-2.0)


def model(**changes) -> RegionalContrastive:
    torch.manual_seed(0)
    return RegionalContrastive(SMALL.model_copy(update=changes), TOKENIZER)


def test_the_loss_is_the_plain_one_over_all_regions():
    method, inputs = model(), batch(regions())
    x, y = method.image_vectors(inputs), method.text_vectors(inputs)
    total = torch.zeros(())
    for i, one in enumerate(inputs.samples):
        for j, other in enumerate(inputs.samples):
            if i != j and one.answer == other.answer:
                continue
            logit = 10.0 * (x[i] @ y[j]) - 2.0
            total = total - F.logsigmoid(logit if i == j else -logit)
    assert method.loss(inputs)["loss"].item() == pytest.approx(total.item() / 8, rel=1e-5)
    assert method.weight(inputs) == 8


def test_identical_phrases_are_negatives_only_if_asked():
    inputs = batch(regions())
    keys = text_keys(inputs).tolist()
    assert len(set(keys)) == 4 and len(keys) == 8
    guarded, open_ = model().loss(inputs), model(identical_texts="negative").loss(inputs)
    assert open_["loss"] > guarded["loss"] + 0.5


def test_each_image_is_encoded_once():
    method, inputs = model(), batch(regions())
    sizes = []
    method.encoder.register_forward_hook(lambda module, given, out: sizes.append(len(given[0])))
    method.loss(inputs)
    assert sizes == [4]


def test_a_region_is_read_from_its_box_and_image():
    method, inputs = model().eval(), batch(regions())
    vectors = method.image_vectors(inputs)
    assert len({tuple(row) for row in vectors.detach().round(decimals=5).tolist()}) == 8
    alone = batch(regions()[3:4])  # a batch of one row draws its pixels again: the same key
    assert alone.samples[0].id == inputs.samples[3].id
    torch.testing.assert_close(method.image_vectors(alone)[0], vectors[3], rtol=1e-4, atol=1e-5)


def test_rows_without_a_box_are_refused():
    with pytest.raises(ValueError, match=r"4 rows have no box, the first is cap/a: .*\[gcap\]"):
        model().loss(batch(reports()))


def test_it_has_no_decoder_and_names_the_alternative():
    with pytest.raises(ValueError, match=r"has no decoder .* stage 2"):
        model().answer(batch(regions()), GenerationConfig())


def test_under_bf16_the_loss_is_fp32_and_close():
    method, inputs = model().eval(), batch(regions())
    exact = method.loss(inputs)["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        loss = method.loss(inputs)["loss"]
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.05)
