"""Our text encoder and attention pool are SigLIP's, to the fifth digit."""

import pytest
import torch
from transformers import SiglipTextConfig, SiglipTextModel, SiglipVisionConfig, SiglipVisionModel

from lapse.config import EncoderConfig
from lapse.config.pretraining import TextEncoderConfig
from lapse.models.backbones.siglip_format import siglip_config, to_siglip
from lapse.models.backbones.text_encoder import TextEncoder
from lapse.models.backbones.vision_encoder import VisionEncoder
from lapse.models.layers.attention_pool import AttentionPool
from siglip_mapping import pool_state, text_state

TINY = TextEncoderConfig(width=24, layers=2, heads=3, mlp_width=40, max_tokens=10)
KEPT = tuple(range(50))


def our_model() -> TextEncoder:
    torch.manual_seed(0)
    model = TextEncoder(TINY, 16, KEPT).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def siglip_model(model: TextEncoder) -> SiglipTextModel:
    config = SiglipTextConfig(
        vocab_size=len(KEPT), hidden_size=24, intermediate_size=40, num_hidden_layers=2,
        num_attention_heads=3, max_position_embeddings=10, projection_size=16,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    siglip = SiglipTextModel(config)
    missing, unexpected = siglip.load_state_dict(text_state(model.state_dict()), strict=False)
    assert not unexpected and all("position_ids" in key for key in missing)
    return siglip.eval()


@torch.no_grad()
def test_texts_of_full_length_equal_transformers():
    model = our_model()
    rows = torch.randint(0, 50, (3, 10), generator=torch.Generator().manual_seed(1))
    expected = siglip_model(model)(input_ids=rows)
    lengths = torch.full((3,), 10)
    assert torch.allclose(model.hidden(rows, lengths), expected.last_hidden_state, atol=1e-5)
    assert torch.allclose(model(rows, lengths), expected.pooler_output, atol=1e-5)


@torch.no_grad()
def test_a_short_text_equals_itself_without_padding_and_transformers_alone():
    model, other = our_model(), None
    other = siglip_model(model)
    rows = torch.randint(0, 50, (3, 10), generator=torch.Generator().manual_seed(2))
    lengths = torch.tensor([4, 10, 7])
    together = model(rows, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = other(input_ids=rows[row : row + 1, :length]).pooler_output
        assert torch.allclose(together[row : row + 1], alone, atol=1e-5)
    noise = rows.clone()
    noise[0, 4:] = 7
    assert torch.allclose(model(noise, lengths), together, atol=1e-6)
    assert not torch.allclose(model(noise, torch.full((3,), 10)), together, atol=1e-3)


@torch.no_grad()
def test_the_attention_pool_is_siglips_head():
    config = EncoderConfig(
        image_size=28, patch_size=7, channels=3, width=24, layers=1, heads=3, mlp_width=40
    )
    torch.manual_seed(3)
    encoder, pool = VisionEncoder(config).eval(), AttentionPool(24, 3, 40).eval()
    for parameter in pool.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    vision = {k: v for k, v in siglip_config(config).items() if k != "architectures"}
    vision["vision_use_head"] = True
    model = SiglipVisionModel(SiglipVisionConfig(**vision)).eval()
    names = set(model.state_dict())
    prefix = "vision_model." if any(name.startswith("vision_model.") for name in names) else ""
    state = to_siglip(encoder.state_dict(), with_prefix=bool(prefix))
    state |= pool_state(pool.state_dict(), f"{prefix}head.")
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all("position_ids" in key for key in missing)
    images = torch.rand(2, 3, 28, 28) * 2 - 1
    assert torch.allclose(pool(encoder(images)), model(images).pooler_output, atol=1e-5)


def test_a_text_beyond_the_positions_is_one_sentence():
    with pytest.raises(ValueError, match=r"11 tokens exceeds the text encoder's 10: raise model"):
        our_model()(torch.zeros(1, 11, dtype=torch.long), torch.tensor([11]))
