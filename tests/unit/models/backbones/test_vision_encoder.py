"""Our encoder equals SigLIP's vision model, and is exported in its format; convolutional stems."""

import pytest
import torch
from transformers import SiglipVisionConfig, SiglipVisionModel

from lapse.config import EncoderConfig, load_config
from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.models.backbones.siglip_format import (
    export_encoder,
    from_siglip,
    siglip_config,
    to_siglip,
)
from lapse.models.backbones.vision_encoder import VisionEncoder
from lapse.models.layers.conv_stem import ConvStem
from lapse.models.layers.transformer import attend
from lapse.training.run_folder import build_model

TINY = EncoderConfig(
    image_size=30, patch_size=7, channels=3, width=24, layers=3, heads=3, mlp_width=40
)


def images(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 3, 30, 30, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_transformers_opens_our_export_with_equal_outputs(tmp_path):
    torch.manual_seed(1)
    encoder = VisionEncoder(TINY).eval()
    export_encoder(encoder, tmp_path)
    siglip, info = SiglipVisionModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    with torch.no_grad():
        expected = siglip.eval()(images()).last_hidden_state
        assert torch.allclose(encoder(images()), expected, atol=1e-5)


def test_siglip_weights_with_a_pooling_head_give_equal_outputs():
    torch.manual_seed(2)
    config = {k: v for k, v in siglip_config(TINY).items() if k not in {"architectures"}}
    siglip = SiglipVisionModel(SiglipVisionConfig(**config | {"vision_use_head": True})).eval()
    encoder = VisionEncoder(TINY).eval()
    encoder.load_state_dict(from_siglip(siglip.state_dict(), TINY.layers))
    with torch.no_grad():
        assert torch.allclose(encoder(images()), siglip(images()).last_hidden_state, atol=1e-5)


def test_a_missing_or_unknown_key_raises():
    state = to_siglip(VisionEncoder(TINY).state_dict())
    lacking = {k: v for k, v in state.items() if "layers.1.mlp.fc1.bias" not in k}
    with pytest.raises(ValueError, match=r"lack 'encoder\.layers\.1\.mlp\.fc1\.bias'"):
        from_siglip(lacking, TINY.layers)
    with pytest.raises(ValueError, match="unexpected tensors"):
        from_siglip(state, TINY.layers - 1)


def test_an_incomplete_encoder_is_not_exported():
    state = VisionEncoder(TINY).state_dict()
    lacking = {k: v for k, v in state.items() if k != "blocks.1.mlp.up.bias"}
    with pytest.raises(ValueError, match=r"lack tensor 'blocks\.1\.mlp\.up\.bias'"):
        to_siglip(lacking)
    with pytest.raises(ValueError, match="unknown tensor 'head'"):
        to_siglip({**state, "head": torch.zeros(1)})


@pytest.mark.parametrize("with_prefix", [True, False])
def test_there_and_back_is_the_same_encoder(with_prefix):
    state = VisionEncoder(TINY).state_dict()
    back = from_siglip(to_siglip(state, with_prefix=with_prefix), TINY.layers)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_wrong_image_size_says_both():
    with pytest.raises(ValueError, match=r"\(3, 28, 28\).*\(3, 30, 30\)"):
        VisionEncoder(TINY)(torch.zeros(1, 3, 28, 28))


def test_checkpointed_blocks_give_the_same_gradients():
    torch.manual_seed(3)
    plain = VisionEncoder(TINY)
    saving = VisionEncoder(TINY.model_copy(update={"activation_checkpointing": True}))
    saving.load_state_dict(plain.state_dict())
    for model in (plain, saving):
        model(images()).square().mean().backward()
    for one, two in zip(plain.parameters(), saving.parameters(), strict=True):
        assert torch.allclose(one.grad, two.grad, atol=1e-6)


def test_fused_and_plain_attention_are_equal():
    query, key, value = torch.randn(3, 2, 2, 5, 8).unbind(0)
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    with torch.no_grad():
        fused = attend(query, key, value, mask)
    assert torch.allclose(attend(query, key, value, mask), fused, atol=1e-6)


@pytest.mark.parametrize("stem", ["conv", "conv_batch"])
def test_a_conv_stem_gives_one_token_per_patch_and_keeps_images_apart(stem):
    config = EncoderConfig(
        image_size=32,
        patch_size=8,
        channels=1,
        width=16,
        layers=1,
        heads=2,
        mlp_width=32,
        stem=stem,
    )
    torch.manual_seed(0)
    encoder = VisionEncoder(config).eval()
    images = torch.rand(3, 1, 32, 32) * 2 - 1
    with torch.no_grad():
        together = encoder(images)
        alone = encoder(images[1:2])
    assert together.shape == (3, 16, 16)
    assert torch.allclose(together[1:2], alone, atol=1e-5)


@pytest.mark.parametrize(("stem", "depends"), [("conv", False), ("conv_batch", True)])
def test_only_batch_norm_looks_at_the_neighbours_and_only_in_training(stem, depends):
    torch.manual_seed(0)
    layer = ConvStem(1, 16, 8, over_batch=stem == "conv_batch").train()
    images = torch.rand(4, 1, 32, 32) * 2 - 1
    others = torch.cat([images[:1], images[:1].repeat(3, 1, 1, 1)])
    with torch.no_grad():
        assert torch.allclose(layer(images)[0], layer(others)[0], atol=1e-5) is not depends
        layer.eval()
        assert torch.allclose(layer(images)[0], layer(others)[0], atol=1e-5)


@pytest.mark.parametrize("system", ["prefix_lm", "blip2", "real", "rgag", "ekaid"])
def test_a_frozen_batch_norm_keeps_its_running_values(system):
    """Stage 2 reads the encoder in evaluation mode; without that its tokens would drift."""
    preset = {"prefix_lm": "diffvqa-tiny"}.get(system, f"diffvqa-{system}-tiny")
    stem = ["model.encoder.stem=conv_batch", "model.encoder.layers=1"]
    model = build_model(load_config(preset, stem), Tokenizer(trimmed_ids([]))).train()
    before = {name: value.clone() for name, value in model.encoder.named_buffers()}
    assert before
    images = torch.rand(2, 1, 128, 128)
    model.encoder(images)
    for name, value in model.encoder.named_buffers():
        assert torch.equal(value, before[name]), name
    model.encoder.train()  # the guard removed
    model.encoder(images)
    assert any(not torch.equal(v, before[n]) for n, v in model.encoder.named_buffers())


@pytest.mark.parametrize("change", [{"patch_size": 12, "image_size": 36}, {"width": 12}])
def test_a_conv_stem_needs_a_power_of_two_and_a_width_of_eights(change):
    values = {"image_size": 32, "patch_size": 8, "width": 16, "heads": 2, "stem": "conv"} | change
    with pytest.raises(ValueError, match="stem of convolutions"):
        EncoderConfig(**values)


def test_a_conv_stem_has_no_siglip_format(tmp_path):
    config = EncoderConfig(image_size=32, patch_size=8, width=16, layers=1, heads=2, stem="conv")
    with pytest.raises(ValueError, match="no SigLIP format"):
        export_encoder(VisionEncoder(config), tmp_path)
