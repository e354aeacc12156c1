"""Our Q-Former is transformers' Blip2QFormerModel, under every mask; and the masks do not leak."""

import pytest
import torch
from transformers import Blip2QFormerConfig, Blip2QFormerModel

from lapse.config.pretraining import QFormerConfig
from lapse.models.backbones.qformer import QFormer, alone_mask, generation_mask, matching_mask

TINY = QFormerConfig(
    queries=3, width=24, layers=4, heads=3, mlp_width=40, cross_every=2, max_tokens=12, dropout=0.1
)
TEXT = 5
LENGTHS = torch.tensor([5, 3])


def our_model() -> QFormer:
    torch.manual_seed(0)
    model = QFormer(TINY, 16, has_text=True).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def mapped(state):
    """Our names -> theirs; joined projections become two or three."""
    found = {"layernorm.weight": state["norm.weight"], "layernorm.bias": state["norm.bias"]}
    for key, value in state.items():
        if not key.startswith("blocks."):
            continue
        _, layer, *rest = key.split(".")
        name, kind = ".".join(rest[:-1]), rest[-1]
        base = f"encoder.layer.{layer}"
        if name == "attention.query_key_value":
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                found[f"{base}.attention.attention.{part}.{kind}"] = third
        elif name == "cross.key_value":
            for part, half in zip(("key", "value"), value.chunk(2), strict=True):
                found[f"{base}.crossattention.attention.{part}.{kind}"] = half
        else:
            theirs = {
                "attention.out": "attention.output.dense",
                "norm": "attention.output.LayerNorm",
                "cross.query": "crossattention.attention.query",
                "cross.out": "crossattention.output.dense",
                "cross.norm": "crossattention.output.LayerNorm",
                "mlp_query.up": "intermediate_query.dense",
                "mlp_query.down": "output_query.dense",
                "mlp_query.norm": "output_query.LayerNorm",
                "mlp_text.up": "intermediate.dense",
                "mlp_text.down": "output.dense",
                "mlp_text.norm": "output.LayerNorm",
            }[name]
            found[f"{base}.{theirs}.{kind}"] = value
    return found


def theirs(model: QFormer) -> Blip2QFormerModel:
    config = Blip2QFormerConfig(
        hidden_size=24, num_hidden_layers=4, num_attention_heads=3, intermediate_size=40,
        cross_attention_frequency=2, encoder_hidden_size=16, use_qformer_text_input=True,
        vocab_size=8, attn_implementation="eager",
    )  # fmt: skip
    other = Blip2QFormerModel(config)
    other.load_state_dict(mapped(model.state_dict()), strict=True)
    return other.eval()


def inputs():
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2, 7, 16, generator=generator)
    text = torch.randn(2, TEXT, 24, generator=generator)
    return image, text


def additive(mask):
    length = mask.shape[-1]
    wide = mask.expand(2, 1, length, length)
    return torch.zeros(wide.shape).masked_fill(~wide, torch.finfo(torch.float32).min)


@torch.no_grad()
def test_queries_alone_equal_transformers():
    model, (image, _) = our_model(), inputs()
    expected = theirs(model)(
        query_embeds=model.queries.expand(2, -1, -1), encoder_hidden_states=image
    )
    assert torch.allclose(model.read(image), expected.last_hidden_state, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("make", [matching_mask, generation_mask])
def test_queries_and_text_equal_transformers(make):
    model, (image, text) = our_model(), inputs()
    mask = make(LENGTHS, TEXT, TINY.queries)
    found = model.run(text, model.image_memory(image), 2, mask)
    expected = theirs(model)(
        query_embeds=torch.cat([model.queries.expand(2, -1, -1), text], dim=1),
        query_length=TINY.queries,
        attention_mask=additive(mask),
        encoder_hidden_states=image,
    ).last_hidden_state
    assert torch.allclose(found.hidden, expected[:, :3], atol=1e-5)
    for row, length in enumerate(LENGTHS.tolist()):
        assert torch.allclose(found.text[row, :length], expected[row, 3 : 3 + length], atol=1e-5)


@torch.no_grad()
def test_text_alone_equals_transformers():
    model, (_, text) = our_model(), inputs()
    mask = alone_mask(LENGTHS, TEXT)
    found = model.run(text, None, 2, mask)
    expected = theirs(model)(query_embeds=text, query_length=0, attention_mask=additive(mask))
    for row, length in enumerate(LENGTHS.tolist()):
        ends = expected.last_hidden_state[row, :length]
        assert torch.allclose(found.text[row, :length], ends, atol=1e-5)
    assert found.hidden.shape == (2, 0, 24)


def changed_by(make, position, what):
    """Which outputs change with the text at `position` (or the image): [L] bool of row 0."""
    model, (image, text) = our_model(), inputs()
    mask = make(LENGTHS, TEXT, TINY.queries)
    with torch.no_grad():
        before = model.run(text, model.image_memory(image), 2, mask)
        other_text, other_image = text.clone(), image.clone()
        if what == "text":
            other_text[:, position] = text[:, position].flip(-1)  # a norm would undo a shift
        else:
            other_image += 1.0
        after = model.run(other_text, model.image_memory(other_image), 2, mask)
    one = torch.cat([before.hidden, before.text], dim=1)
    two = torch.cat([after.hidden, after.text], dim=1)
    return ((one - two).abs().amax(-1) > 1e-6).tolist()


def test_generation_queries_never_see_text_and_text_never_its_future():
    for position in range(TEXT):
        moved = changed_by(generation_mask, position, "text")[0]
        assert moved == [False] * (3 + position) + [True] * (TEXT - position)
    assert all(changed_by(generation_mask, 0, "image")[0])


def test_matching_sees_everything_but_padding():
    for position in range(TEXT):
        moved = changed_by(matching_mask, position, "text")
        assert all(moved[0])
        if position >= 3:  # only padding attends to padding of row 1
            assert [at for at, is_moved in enumerate(moved[1]) if is_moved] == [3 + position]


def test_without_the_guard_generation_leaks():
    """The sabotage twin: under matching's mask the first word knows the last."""
    assert changed_by(matching_mask, TEXT - 1, "text")[0][3]
    assert not changed_by(generation_mask, TEXT - 1, "text")[0][3]


@torch.no_grad()
def test_word_by_word_equals_all_at_once():
    model, (image, text) = our_model(), inputs()
    memory = model.image_memory(image)
    full = torch.full((2,), TEXT)
    together = model.run(text, memory, 2, generation_mask(full, TEXT, TINY.queries)).text
    past = model.run(None, memory, 2, None).pairs
    for position in range(TEXT):
        hidden, past = model.step(text[:, position], past)
        assert torch.allclose(hidden, together[:, position], atol=1e-5)


def test_without_a_text_side_it_reads_no_text():
    model = QFormer(TINY, 16, has_text=False)
    image, text = inputs()
    assert model.read(image).shape == (2, 3, 24)
    with pytest.raises(ValueError, match="has_text=False"):
        model.run(text, model.image_memory(image), 2, None)
