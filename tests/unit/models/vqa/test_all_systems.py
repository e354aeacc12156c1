"""What every compared system must do: stay frozen, see both images, answer alone as in company."""

from dataclasses import replace

import pytest
import torch

from lapse.config import GenerationConfig
from lapse.models.backbones.vision_encoder import VisionEncoder
from lapse.models.layers.token_losses import token_losses
from vqa_systems import SYSTEMS, batch, build, samples

NAMES = list(SYSTEMS)


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_encoder_stays_in_eval_and_gets_no_gradient(name):
    system = build(name, train_encoder=False).train()
    assert not system.encoder.training and system.training
    system.loss(batch())["loss"].backward()
    assert all(p.grad is None and not p.requires_grad for p in system.encoder.parameters())
    thawed = build(name, train_encoder=True).train()
    thawed.loss(batch())["loss"].backward()
    assert thawed.encoder.training
    assert all(p.grad is not None for p in thawed.encoder.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_every_trained_part_gets_a_gradient(name):
    system = build(name).train()
    system.loss(batch())["loss"].backward()
    without = [key for key, p in system.named_parameters() if p.requires_grad and p.grad is None]
    assert without in ([], ["writer.decoder.tokens.mask"])  # parallel prediction is stage 1's


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("beams", [1, 3])
def test_answers_in_a_batch_equal_answers_one_by_one(name, beams):
    system = build(name).eval()
    decode = GenerationConfig(num_beams=beams, max_new_tokens=6)
    with torch.no_grad():
        together = system.answer(batch(), decode)
        alone = [system.answer(batch([row]), decode)[0] for row in samples()]
    assert together == alone


@pytest.mark.parametrize("name", NAMES)
def test_it_sees_both_images_and_their_order(name):
    system, found = build(name).eval(), batch([samples()[0]])
    with torch.no_grad():
        before = system.loss(found)["nll"]
        for column in (0, 1):
            other = found.images.clone()
            row = found.image_index[0, column]
            other[row] = 255 - other[row]
            assert abs(system.loss(replace(found, images=other))["nll"] - before) > 0
        one = samples()[0]
        swapped = replace(
            one, images=one.images[::-1], boxes=one.boxes[::-1], reports=one.reports[::-1]
        )
        assert abs(system.loss(batch([swapped]))["nll"] - before) > 0


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_does_not_depend_on_the_truth(name):
    system, decode = build(name).eval(), GenerationConfig(num_beams=2, max_new_tokens=6)
    told = [replace(row, answer=" hernia hernia.", reports=("no change",) * 2) for row in samples()]
    with torch.no_grad():
        assert system.answer(batch(told), decode) == system.answer(batch(), decode)


@pytest.mark.parametrize("name", NAMES)
def test_the_weight_is_the_number_of_answer_tokens(name):
    found = batch()
    count = int((found.lengths - found.prompt_lengths).sum())
    assert build(name).weight(found) == count
    losses = build(name).eval().loss(found)
    assert losses["loss/diff_vqa"].item() == losses["nll"].item()


@pytest.mark.parametrize("name", NAMES)
def test_it_takes_stage_ones_encoder_whole(name):
    system, donor = build(name), VisionEncoder(system_encoder(name))
    system.load_encoder(donor.state_dict())
    assert all(
        torch.equal(a, b)
        for a, b in zip(system.encoder.parameters(), donor.parameters(), strict=True)
    )


def system_encoder(name):
    return SYSTEMS[name][1].encoder


@pytest.mark.parametrize("name", ["blip2", "ekaid", "real"])
def test_one_image_alone_is_refused(name):
    row = samples()[0]
    one = replace(row, images=row.images[:1], boxes=row.boxes[:1], reports=row.reports[:1])
    with pytest.raises(ValueError, match="two images, got 1 per question"):
        build(name).loss(batch([one]))


@pytest.mark.parametrize("name", ["ekaid", "rgag"])
def test_samples_without_boxes_are_refused(name):
    with pytest.raises(ValueError, match="carries no boxes"):
        build(name).loss(batch([replace(row, boxes=()) for row in samples()]))


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_in_bf16(name):
    system = build(name).train()
    plain = system.loss(batch())["nll"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = system.loss(batch())
    losses["loss"].backward()
    assert losses["nll"].item() == pytest.approx(plain.item(), rel=0.05)
    assert all(torch.isfinite(p.grad).all() for p in system.parameters() if p.grad is not None)


def test_token_losses_against_a_plain_computation():
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    wanted, row = torch.tensor([0, 3, 6, 2, 2]), torch.tensor([0, 0, 1, 1, 2])
    found = token_losses(logits, wanted, row, 0.1).named(["a", "b", "a"])
    each = [-torch.log_softmax(logits[i], 0)[wanted[i]].item() for i in range(5)]
    smooth = [-torch.log_softmax(logits[i], 0).mean().item() for i in range(5)]
    assert found["nll"].item() == pytest.approx(sum(each) / 5)
    both = sum(0.9 * one + 0.1 * two for one, two in zip(each, smooth, strict=True)) / 5
    assert found["loss"].item() == pytest.approx(both)
    assert found["loss/a"].item() == pytest.approx((each[0] + each[1] + each[4]) / 3)
    assert found["loss/b"].item() == pytest.approx((each[2] + each[3]) / 2)


def test_answers_end_within_the_positions():
    differs = []
    for name in ("blip2", "real", "rgag", "plural"):
        system = build(name).eval()
        with torch.no_grad():
            said = [
                system.answer(batch(), GenerationConfig(num_beams=1, max_new_tokens=longest))
                for longest in (8, 64, 200)
            ]
        assert said[1] == said[2]  # there is no place behind the 64th
        differs.append(said[0] != said[1])
    assert any(differs)
