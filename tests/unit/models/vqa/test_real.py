"""ReAL: alignment losses against a plain computation; weights of the residual branch."""

from dataclasses import replace

import pytest
import torch

from lapse.config.vqa import RealConfig
from lapse.models.backbones.vision_encoder import VisionEncoder
from lapse.models.vqa.real import alignment
from vqa_systems import ENCODER, batch, build


def cosine(one, two) -> float:
    return float((one * two).sum() / (one.norm() * two.norm()))


def test_alignment_against_a_plain_computation():
    generator = torch.Generator().manual_seed(0)
    left, aim = (torch.randn(2, 3, 5, generator=generator) for _ in range(2))
    tokens, image = alignment(left, aim)
    plain = [1 - cosine(left[b, n], aim[b, n]) for b in range(2) for n in range(3)]
    assert tokens.item() == pytest.approx(sum(plain) / 6, rel=1e-5)
    means = [1 - cosine(left[b].mean(0), aim[b].mean(0)) for b in range(2)]
    assert image.item() == pytest.approx(sum(means) / 2, rel=1e-5)
    assert alignment(aim, aim)[0].item() == pytest.approx(0, abs=1e-6)
    assert alignment(-aim, aim)[1].item() == pytest.approx(2, rel=1e-6)


def test_no_gradient_flows_into_the_aim():
    left = torch.randn(1, 2, 3, requires_grad=True)
    aim = torch.randn(1, 2, 3, requires_grad=True)
    sum(alignment(left, aim)).backward()
    assert left.grad is not None and aim.grad is None


def test_the_loss_is_the_answer_loss_and_the_weighted_alignment():
    inputs = batch()
    full, alone = build("real"), build("real", align_tokens=0.0, align_image=0.0)
    one, two = full.loss(inputs), alone.loss(inputs)
    assert two["loss"].item() < one["loss"].item()
    expected = two["loss"] + 0.5 * one["align_tokens"] + 0.5 * one["align_image"]
    assert one["loss"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_residual_branch_takes_the_encoder_only_where_it_fits():
    donor = VisionEncoder(ENCODER)
    same = build("real")
    same.load_encoder(donor.state_dict())
    assert torch.equal(same.residual_encoder.positions, donor.positions)
    other = build("real", residual=ENCODER.model_copy(update={"layers": 2}))
    other.load_encoder(donor.state_dict())
    assert not torch.equal(other.residual_encoder.positions, donor.positions)


def test_two_equal_images_leave_no_residual():
    inputs = batch()
    same = replace(inputs, images=inputs.images[:1].expand(len(inputs.images), -1, -1, -1))
    system = build("real").eval()
    with torch.no_grad():
        features, left = system.features(same)
        nothing = system.residual_encoder(torch.zeros(1, 1, 32, 32))
    assert torch.equal(features[:, 0], features[:, 1])
    assert torch.allclose(left, nothing.expand_as(left))


def test_another_grid_is_refused():
    other = ENCODER.model_copy(update={"patch_size": 16})
    with pytest.raises(ValueError, match="need the same grid"):
        RealConfig(encoder=ENCODER, residual=other)
