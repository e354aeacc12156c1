"""Published encoders give equal outputs here; weights that do not fit are refused."""

import json
import pickle

import pytest
import torch
import yaml
from transformers import (
    Dinov2Config,
    Dinov2Model,
    ResNetConfig,
    ResNetForImageClassification,
    SiglipConfig,
    SiglipModel,
    SiglipVisionModel,
    ViTConfig,
    ViTModel,
)

from lapse.config import EncoderConfig
from lapse.models.backbones.encoder_model import build_encoder
from lapse.models.backbones.pretrained_encoder import encoder_config_of, read_encoder
from lapse.models.backbones.siglip_format import siglip_config

TINY = EncoderConfig(
    image_size=28, patch_size=7, channels=3, width=24, layers=2, heads=3, mlp_width=40
)
PIXELS = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}


def images(size=28, channels=3):
    generator = torch.Generator().manual_seed(5)
    return torch.rand(2, channels, size, size, generator=generator) * 2 - 1


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    """A complete SigLIP with its text model, as published ones are."""
    torch.manual_seed(0)
    vision = {k: v for k, v in siglip_config(TINY).items() if k != "architectures"}
    vision["vision_use_head"] = True
    text = {"vocab_size": 30, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 1,
            "num_attention_heads": 3, "max_position_embeddings": 8, "bos_token_id": 1,
            "eos_token_id": 2, "pad_token_id": 0}  # fmt: skip
    folder = tmp_path_factory.mktemp("siglip")
    model = SiglipModel(SiglipConfig(vision_config=vision, text_config=text)).eval()
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PIXELS))
    return folder


def opened(source, config):
    encoder = build_encoder(config).eval()
    weights = read_encoder(str(source), config)
    encoder.load_state_dict(weights.state)
    return encoder, weights.messages


@torch.no_grad()
def test_a_complete_siglip_gives_equal_outputs(siglip):
    encoder, messages = opened(siglip, TINY)
    model = SiglipVisionModel.from_pretrained(siglip).eval()
    expected = model(images()).last_hidden_state
    assert torch.allclose(encoder(images()), expected, atol=1e-5)
    assert messages == (f"encoder: from {siglip}",)
    assert encoder_config_of(str(siglip), 28) == TINY


@torch.no_grad()
def test_channels_are_summed_for_grey_images(siglip):
    grey = images(channels=1)
    encoder, messages = opened(siglip, TINY.model_copy(update={"channels": 1}))
    model = SiglipVisionModel.from_pretrained(siglip).eval()
    expected = model(grey.expand(-1, 3, -1, -1)).last_hidden_state
    assert torch.allclose(encoder(grey), expected, atol=1e-5)
    assert messages[1].startswith("encoder: its 3 colour channels are summed")


@torch.no_grad()
def test_positions_are_interpolated_as_in_transformers(siglip):
    encoder, messages = opened(siglip, TINY.model_copy(update={"image_size": 42}))
    model = SiglipVisionModel.from_pretrained(siglip).eval()
    expected = model(images(42), interpolate_pos_encoding=True).last_hidden_state
    assert torch.allclose(encoder(images(42)), expected, atol=1e-5)
    assert messages[1] == "encoder: positions interpolated from 4 x 4 to 6 x 6 (bicubic)"


def test_shards_are_read(siglip, tmp_path):
    SiglipModel.from_pretrained(siglip).save_pretrained(tmp_path, max_shard_size="20KB")
    assert not (tmp_path / "model.safetensors").exists()
    one, two = read_encoder(str(siglip), TINY), read_encoder(str(tmp_path), TINY)
    assert one.state.keys() == two.state.keys()
    assert all(torch.equal(one.state[key], two.state[key]) for key in one.state)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    first = next(iter(index["weight_map"]))
    index["weight_map"][first] = "../elsewhere.safetensors"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="must name shards in its folder"):
        read_encoder(str(tmp_path), TINY)


def test_other_sizes_name_both(siglip):
    with pytest.raises(ValueError, match="other sizes: width is 48, there 24"):
        read_encoder(str(siglip), TINY.model_copy(update={"width": 48}))


def test_another_number_of_heads_names_the_override(siglip):
    other = TINY.model_copy(update={"heads": TINY.heads * 2})
    message = f"heads is {other.heads}, there {TINY.heads}; give model.encoder.heads={TINY.heads}$"
    with pytest.raises(ValueError, match=message):
        read_encoder(str(siglip), other)


def test_another_activation_is_refused(siglip, tmp_path):
    SiglipModel.from_pretrained(siglip).save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    values["vision_config"]["hidden_act"] = "relu"
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="hidden_act is gelu_pytorch_tanh, there relu"):
        read_encoder(str(tmp_path), TINY)


def test_a_stem_of_convolutions_cannot_take_patches(siglip):
    config = TINY.model_copy(update={"stem": "conv"})
    with pytest.raises(ValueError, match=r"stem is 'conv': set it to patch"):
        read_encoder(str(siglip), config)


def test_other_pixels_are_refused(siglip, tmp_path):
    SiglipModel.from_pretrained(siglip).save_pretrained(tmp_path)
    scale = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(scale))
    with pytest.raises(ValueError, match=r"expects pixels with mean \[0\.48, 0\.46, 0\.41\]"):
        read_encoder(str(tmp_path), TINY)


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_pickles_are_refused_unread(siglip, tmp_path):
    (tmp_path / "config.json").write_text((siglip / "config.json").read_text())
    canary = tmp_path / "ran"
    for name in ("pytorch_model.bin", "biovil_t_image_model_proj_size_128.pt"):
        (tmp_path / name).write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(ValueError, match=r"pickled weights .* are refused: convert them"):
        read_encoder(str(tmp_path), TINY)
    assert not canary.exists()
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(ValueError, match="not a valid safetensors"):
        read_encoder(str(tmp_path), TINY)
    assert not canary.exists()
    pickle.loads((tmp_path / "pytorch_model.bin").read_bytes()).close()  # the canary does sing
    assert canary.exists()


@pytest.mark.parametrize("source", ["google/siglip-so400m", "google/medsiglip-448@main", "gone"])
def test_a_hub_id_needs_its_revision(source):
    with pytest.raises(ValueError, match=r"init_encoder .* pinned revision"):
        read_encoder(source, TINY)


def test_another_architecture_names_the_known(siglip, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="is a 'bert': the encoders that can be read are siglip"):
        read_encoder(str(tmp_path), TINY)


def foreign(kind, folder):
    torch.manual_seed(1)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "patch_size": 7,
             "image_size": 42}  # fmt: skip
    if kind == "dinov2":
        model = Dinov2Model(Dinov2Config(**sizes))
    elif kind == "vit":
        model = ViTModel(ViTConfig(**sizes, intermediate_size=40))
    else:
        model = ResNetForImageClassification(
            ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24], depths=[1, 1, 1])
        )
    model.eval().save_pretrained(folder)
    scale = {"image_mean": [0.53, 0.53, 0.53], "image_std": [0.25, 0.25, 0.25]}
    (folder / "preprocessor_config.json").write_text(json.dumps(scale))
    return model


@torch.no_grad()
@pytest.mark.parametrize("kind", ["dinov2", "vit", "resnet"])
def test_foreign_encoders_give_their_own_outputs(kind, tmp_path):
    model = foreign(kind, tmp_path)
    size = 28 if kind != "resnet" else 64
    config = encoder_config_of(str(tmp_path), size)
    encoder, messages = opened(
        tmp_path, EncoderConfig.model_validate(config.model_dump(mode="json"))
    )
    pixels = ((images(size) + 1) / 2 - 0.53) / 0.25
    if kind == "resnet":
        expected = model.resnet(pixels).last_hidden_state.flatten(2).transpose(1, 2)
    elif kind == "vit":
        expected = model(pixels, interpolate_pos_encoding=True).last_hidden_state[:, 1:]
    else:
        expected = model(pixels).last_hidden_state[:, 1:]
    tokens = encoder(images(size))
    assert tokens.shape == (2, 16, 24)
    assert torch.allclose(tokens, expected, atol=1e-5)
    assert messages == (f"encoder: from {tmp_path} ({kind} of transformers)",)


def test_a_foreign_checkpoint_says_the_override_that_opens_it(tmp_path):
    foreign("dinov2", tmp_path)
    with pytest.raises(ValueError, match=r"give its architecture .* model\.encoder=\{") as why:
        read_encoder(str(tmp_path), TINY)
    text = str(why.value).partition("model.encoder=")[2]
    config = EncoderConfig.model_validate(yaml.safe_load(text))
    assert opened(tmp_path, config)[0](images()).shape == (2, 16, 24)


def test_a_foreign_encoder_of_another_size_says_so(tmp_path):
    foreign("dinov2", tmp_path)
    config = encoder_config_of(str(tmp_path), 28)
    encoder = build_encoder(config.model_copy(update={"width": 48}))
    with pytest.raises(
        ValueError, match=r"gives \(16, 24\) tokens, the configuration says \(16, 4"
    ):
        encoder(images())
    with pytest.raises(ValueError, match=r"images are \(3, 42, 42\)"):
        encoder(images(42))
