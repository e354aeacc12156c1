"""ReAL: alignment losses against a plain computation; weights of the residual branch."""

from dataclasses import replace

import pytest
import torch

from lapse.config.vqa import RealConfig
from lapse.models.backbones.vision_encoder import VisionEncoder
from lapse.models.vqa.real import (
    contrastive_alignment,
    cosine_alignment,
    squared_alignment,
)
from vqa_systems import ENCODER, batch, build


def cosine(one, two) -> float:
    return float((one * two).sum() / (one.norm() * two.norm()))


def test_alignment_against_a_plain_computation():
    generator = torch.Generator().manual_seed(0)
    left, aim = (torch.randn(2, 3, 5, generator=generator) for _ in range(2))
    tokens, image = cosine_alignment(left, aim)
    plain = [1 - cosine(left[b, n], aim[b, n]) for b in range(2) for n in range(3)]
    assert tokens.item() == pytest.approx(sum(plain) / 6, rel=1e-5)
    means = [1 - cosine(left[b].mean(0), aim[b].mean(0)) for b in range(2)]
    assert image.item() == pytest.approx(sum(means) / 2, rel=1e-5)
    assert cosine_alignment(aim, aim)[0].item() == pytest.approx(0, abs=1e-6)
    assert cosine_alignment(-aim, aim)[1].item() == pytest.approx(2, rel=1e-6)


def test_the_squared_alignment_against_a_plain_computation():
    generator = torch.Generator().manual_seed(0)
    left, aim = (torch.randn(2, 3, 5, generator=generator) for _ in range(2))
    tokens, image = squared_alignment(left, aim)
    assert tokens.item() == pytest.approx(sum((left - aim).flatten().tolist()[k] ** 2
                                              for k in range(30)) / 30, rel=1e-5)  # fmt: skip
    means = [(left[b].mean(0) - aim[b].mean(0)).square().mean().item() for b in range(2)]
    assert image.item() == pytest.approx(sum(means) / 2, rel=1e-5)


def test_the_contrastive_alignment_against_a_plain_computation():
    generator = torch.Generator().manual_seed(0)
    left, aim = (torch.randn(4, 3, 5, generator=generator) for _ in range(2))
    tokens, image = contrastive_alignment(left, aim)

    def entropy(one, two):
        rows = [[cosine(a, b) / 0.07 for b in two] for a in one]
        return [-torch.tensor(row).log_softmax(0)[i].item() for i, row in enumerate(rows)]

    plain = [value for n in range(3) for value in entropy(left[:, n], aim[:, n])]
    assert tokens.item() == pytest.approx(sum(plain) / 12, rel=1e-4)
    plain = entropy(left.mean(1), aim.mean(1))
    assert image.item() == pytest.approx(sum(plain) / 4, rel=1e-4)


@pytest.mark.parametrize("align", ["cosine", "mse", "contrast"])
def test_the_difference_gets_a_gradient_only_without_a_stop(align):
    """The encoder's gradient through the alignment alone: the answer loss is removed."""
    gradients = {}
    for stop in ("difference", "none"):
        system = build("real", align=align, align_stop=stop, train_encoder=True)
        answer = system.text_losses(batch(), system.prefix_decoder(batch())).smoothed.mean()
        (system.loss(batch())["loss"] - answer).backward()
        gradients[stop] = max(float(p.grad.abs().max()) for p in system.encoder.parameters())
    assert gradients["none"] > 100 * gradients["difference"]


def test_an_absolute_residual_has_no_sign():
    inputs, seen = batch(), {}
    for sign in ("signed", "absolute"):
        system = build("real", residual_sign=sign, registration="none")
        system.residual_encoder.register_forward_pre_hook(
            lambda _, given, sign=sign: seen.update({sign: given[0]})
        )
        system.features(inputs)
    assert float(seen["signed"].min()) < 0
    assert torch.equal(seen["absolute"], seen["signed"].abs())


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
