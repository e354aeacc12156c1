"""PLURAL as published: its loss, patch sampling, dropped losses, and size."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import vqa_systems
from lapse.config import load_config
from lapse.core.tokenizer import Tokenizer
from lapse.training.run_folder import build_model

NAME = "plural_published"


@torch.no_grad()
def test_the_loss_of_a_token_equals_its_formula():
    system, batch = vqa_systems.build(NAME).eval(), vqa_systems.batch()
    losses, seen = system.token_losses(batch), []
    system.writer.register_forward_hook(lambda *_: None)
    read = system.writer.read

    def keep(words, state):
        seen.append(read(words, state))
        return seen[-1]

    system.writer.read = keep
    system.token_losses(batch)
    table = torch.cat([system.tokens.weight, system.further_tokens])
    size, e, expected = len(table), 0.1, []
    assert size == system.tokens.num_rows + 3
    for row in range(4):
        start, stop = int(batch.prompt_lengths[row]), int(batch.lengths[row])
        targets = system.tokens.rows(batch.tokens[row, start:stop])
        for position, target in enumerate(targets.tolist()):
            scores = (table @ seen[0][row, position]).log_softmax(0)
            rest = e / (size - 1)
            expected.append(-(1 - e - rest) * scores[target] - rest * scores.sum())
    torch.testing.assert_close(losses.smoothed, torch.stack(expected), rtol=1e-4, atol=1e-4)


def test_patches_of_pairs_are_drawn_again_in_training_and_fixed_in_validation():
    system, batch = vqa_systems.build(NAME, sample_patches=6), vqa_systems.batch()
    torch.manual_seed(0)
    one, two = (system.train()._images(batch, 6).places for _ in range(2))
    assert one.shape == (4, 2, 6)
    assert not torch.equal(one, two)
    assert not torch.equal(one[:, 0], one[:, 1])  # each image has its own
    fixed, again = (system.eval()._images(batch, 6) for _ in range(2))
    assert torch.equal(fixed.places, again.places)
    every = system._images(batch, None)
    assert every.places.shape == (4, 2, 16)
    for row in range(4):  # tokens and places belong together
        for image in range(2):
            index = [every.places[row, image].tolist().index(p) for p in fixed.places[row, image]]
            torch.testing.assert_close(fixed.tokens[row, image], every.tokens[row, image][index])


@torch.no_grad()
def test_answers_and_single_images_use_all_patches():
    system, batch = vqa_systems.build(NAME, sample_patches=6).eval(), vqa_systems.batch()
    whole = vqa_systems.build(NAME).eval()
    assert torch.equal(system.log_probability(batch), whole.log_probability(batch))
    assert not torch.equal(system.loss(batch)["loss"], whole.loss(batch)["loss"])
    samples = tuple(replace(s, images=s.images[1:], boxes=(), reports=()) for s in batch.samples)
    single = replace(batch, image_index=batch.image_index[:, 1:], samples=samples)
    assert torch.equal(system.loss(single)["loss"], whole.loss(single)["loss"])


def test_the_worst_losses_do_not_count_after_some_steps():
    system, batch = vqa_systems.build(NAME, drop_worst=0.2, drop_worst_after=3), vqa_systems.batch()
    each = system.train().token_losses(batch).smoothed.detach()
    system.start_step(2)
    assert float(system.loss(batch)["loss"].detach()) == pytest.approx(float(each.mean()), rel=1e-5)
    system.start_step(3)
    lowest = sorted(each.tolist())[: int(0.8 * len(each))]
    expected = sum(lowest) / len(lowest)
    assert float(system.loss(batch)["loss"].detach()) == pytest.approx(expected, rel=1e-5)
    system.eval()
    assert float(system.loss(batch)["loss"].detach()) == pytest.approx(float(each.mean()), rel=1e-5)


def test_frozen_tokens_have_no_gradient_and_the_trunk_has():
    system, batch = vqa_systems.build(NAME, freeze_tokens=True).train(), vqa_systems.batch()
    system.loss(batch)["loss"].backward()
    frozen = {name for name, p in system.named_parameters() if not p.requires_grad}
    assert frozen == {"tokens.weight", "further_tokens"}
    trunk = [p.grad for name, p in system.named_parameters() if name.startswith("encoder.")]
    assert all(gradient is not None for gradient in trunk)


def test_weights_are_read_from_a_folder(tmp_path):
    donor = vqa_systems.build(NAME)
    save_file({k: v + 1 for k, v in donor.state_dict().items()}, tmp_path / "model.safetensors")
    system = vqa_systems.build(NAME, weights=str(tmp_path))
    assert torch.equal(system.writer.positions, donor.writer.positions + 1)
    assert f"of {tmp_path}" in system.origin
    save_file({"other": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="do not fit this model"):
        vqa_systems.build(NAME, weights=str(tmp_path))
    with pytest.raises(ValueError, match="is not a folder"):
        vqa_systems.build(NAME, weights=str(tmp_path / "none"))


def test_the_published_size():
    """182.2 M. OFA's decoder also has image tables for its image codes, which nothing here uses:
    1,765 positions of 768 with their norm, and 6,892 distances x 12 heads x 6 layers."""
    pytest.importorskip("transformers")
    config = load_config("diffvqa-plural-published")
    with torch.device("meta"):
        model = build_model(config, Tokenizer())
    total = sum(p.numel() for p in model.parameters())
    unused = 1765 * 768 + 2 * 768 + 6892 * 12 * 6
    assert total + unused == pytest.approx(182.2e6, rel=0.005)
    assert total == pytest.approx(182.2e6, rel=0.03)
