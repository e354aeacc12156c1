"""Our GPT-2 equals transformers' GPT-2, also with a prefix that its beams share."""

import json

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks.gpt2_export import export_gpt2, to_gpt2
from lapse.config import LanguageModelConfig
from lapse.models.backbones.gpt2 import GPT2
from lapse.models.backbones.gpt2_weights import from_gpt2, load_gpt2
from lapse.models.layers.transformer import attend

TINY = LanguageModelConfig(width=24, layers=2, heads=3, max_positions=40, dropout=0.0)


def hf_gpt2(seed: int = 0, vocabulary: int = 50257) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    config = GPT2Config(n_embd=24, n_layer=2, n_head=3, n_positions=40, vocab_size=vocabulary)
    return GPT2LMHeadModel(config).eval()


def logits(model: GPT2, ids: torch.Tensor) -> torch.Tensor:
    x = model.tokens.embed(ids) + model.positions[: ids.shape[1]]
    return model.tokens.logits(model(x))


def test_a_folder_of_transformers_gives_equal_logits(tmp_path):
    other = hf_gpt2()
    other.save_pretrained(tmp_path)
    model = GPT2(TINY).eval()
    assert str(tmp_path) in load_gpt2(model, str(tmp_path))
    ids = torch.randint(0, 50257, (2, 17))
    with torch.no_grad():
        assert torch.allclose(logits(model, ids), other(ids).logits, atol=1e-5)


def test_transformers_opens_our_folder_with_equal_logits(tmp_path):
    torch.manual_seed(1)
    model = GPT2(TINY).eval()
    export_gpt2(model, tmp_path)
    other, info = GPT2LMHeadModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["unexpected_keys"]
    ids = torch.randint(0, 50257, (2, 9))
    with torch.no_grad():
        assert torch.allclose(logits(model, ids), other.eval()(ids).logits, atol=1e-5)


def test_a_trimmed_table_takes_its_rows(tmp_path):
    other = hf_gpt2()
    other.save_pretrained(tmp_path)
    kept = (*range(256), 1388, 2939, 50256)
    model = GPT2(TINY, kept).eval()
    load_gpt2(model, str(tmp_path))
    ids = torch.tensor([[5, 1388, 2939, 7]])
    with torch.no_grad():
        trimmed = logits(model, model.tokens.rows(ids))
        assert torch.allclose(trimmed, other(ids).logits[..., list(kept)], atol=1e-5)
    with pytest.raises(ValueError, match="token 999 is not among the 259 kept"):
        model.tokens.rows(torch.tensor([999]))


def test_keys_round_trip_with_and_without_prefix():
    state = GPT2(TINY, tuple(range(256))).state_dict()
    mapped = to_gpt2(state)
    bare = {key.removeprefix("transformer."): value for key, value in mapped.items()}
    for version in (mapped, bare):
        back = from_gpt2(version)
        assert back.keys() == state.keys()
        assert all(torch.equal(back[key], state[key]) for key in state)
    with pytest.raises(ValueError, match="does not belong"):
        from_gpt2({"banana": torch.zeros(1)})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("openai-community/gpt2-medium", "pinned"),
        ("openai-community/gpt2@main", "pinned"),
        ("/no/such/folder", "neither a folder"),
    ],
)
def test_unpinned_sources_are_refused(source, message):
    with pytest.raises(ValueError, match=message):
        load_gpt2(GPT2(TINY, tuple(range(256))), source)


def test_pickled_and_misfitting_weights_are_refused(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match="pickled weights"):
        load_gpt2(GPT2(TINY, tuple(range(256))), str(tmp_path))
    hf_gpt2().save_pretrained(tmp_path)
    deeper = TINY.model_copy(update={"layers": 3})
    with pytest.raises(ValueError, match=r"does not fit .* in 12 tensors"):
        load_gpt2(GPT2(deeper), str(tmp_path))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "gpt_neo"),
        ("activation_function", "relu"),
        ("layer_norm_epsilon", 1e-6),
        ("n_head", 4),
        ("n_inner", 128),
        ("scale_attn_by_inverse_layer_idx", True),
    ],
)
def test_weights_that_are_computed_differently_are_refused(key, value, tmp_path):
    hf_gpt2().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {key: value}), "utf-8")
    with pytest.raises(ValueError, match=f"another language model: {key} is {value!r}"):
        load_gpt2(GPT2(TINY, tuple(range(256))), str(tmp_path))


def test_sharded_weights_are_read(tmp_path):
    model = hf_gpt2()
    model.save_pretrained(tmp_path / "one")
    model.save_pretrained(tmp_path / "many", max_shard_size="20KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 1
    one, many = GPT2(TINY), GPT2(TINY)
    load_gpt2(one, str(tmp_path / "one"))
    load_gpt2(many, str(tmp_path / "many"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), many.parameters(), strict=True))


def test_causality():
    model = GPT2(TINY, tuple(range(256))).eval()
    ids = torch.randint(0, 256, (1, 12))
    changed = ids.clone()
    changed[0, 7] = (changed[0, 7] + 1) % 256
    with torch.no_grad():
        one, two = logits(model, ids), logits(model, changed)
    assert torch.equal(one[:, :7], two[:, :7])
    assert not torch.allclose(one[:, 7:], two[:, 7:])


def test_shared_prefix_cache_equals_no_cache():
    torch.manual_seed(4)
    model = GPT2(TINY, tuple(range(256))).eval()
    ids = torch.randint(0, 256, (3, 14))
    lengths = torch.tensor([5, 3, 4])
    beams, width = 2, 5
    with torch.no_grad():
        x = model.tokens.embed(ids[:, :width]) + model.positions[:width]
        is_prefix = torch.arange(width) < lengths[:, None]
        hidden, cache = model.start(x, is_prefix)
        for row, length in enumerate(lengths):
            prompt = model.tokens.embed(ids[row : row + 1, :length]) + model.positions[:length]
            assert torch.allclose(hidden[row], model(prompt)[0, -1], atol=1e-5)
        written = ids[:, width : width + 3].repeat_interleave(beams, 0)
        for step in range(3):
            positions = lengths.repeat_interleave(beams) + step
            token = model.tokens.embed(written[:, step]) + model.positions[positions]
            if step:
                cache.reorder(torch.arange(3 * beams))
            hidden = model.step(token, cache)
        for row, length in enumerate(lengths):
            text = torch.cat([ids[row, :length], ids[row, width : width + 3]])
            x = model.tokens.embed(text[None]) + model.positions[: len(text)]
            for beam in range(beams):
                expected = model(x)[0, -1]
                assert torch.allclose(hidden[row * beams + beam], expected, atol=1e-5)


def test_keeping_only_the_inputs_of_blocks_changes_no_gradient():
    torch.manual_seed(0)
    plain = GPT2(TINY, tuple(range(30)))
    thrifty = GPT2(TINY.model_copy(update={"activation_checkpointing": True}), tuple(range(30)))
    thrifty.load_state_dict(plain.state_dict())
    x = torch.randn(2, 9, 24)
    for model in (plain, thrifty):
        model(x).square().mul(torch.linspace(0, 1, 24)).mean().backward()
    for (name, one), (_, two) in zip(
        plain.named_parameters(), thrifty.named_parameters(), strict=True
    ):
        assert (one.grad is None) == (two.grad is None), name
        assert one.grad is None or torch.allclose(one.grad, two.grad, atol=1e-7), name


@pytest.mark.parametrize("length", [5, 520])
def test_causal_attention_is_attention_with_a_causal_mask(length):
    query, key, value = torch.randn(3, 1, 2, length, 8).requires_grad_().unbind()
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    assert torch.allclose(
        attend(query, key, value, "causal"), attend(query, key, value, mask), atol=1e-5
    )


def test_blocks_alone_leave_random_tables(tmp_path):
    """`take: blocks`: tables as drawn, no biases of queries, keys and values, the rest as saved."""
    torch.manual_seed(0)
    saved = GPT2(TINY)
    for parameter in saved.parameters():
        torch.nn.init.normal_(parameter)
    export_gpt2(saved, tmp_path)
    model = GPT2(TINY.model_copy(update={"take": "blocks"}))
    drawn = {name: value.clone() for name, value in model.state_dict().items()}
    assert load_gpt2(model, str(tmp_path)).startswith("language model: pretrained blocks of")
    for name, value in model.state_dict().items():
        if name in {"tokens.weight", "positions"}:
            assert torch.equal(value, drawn[name]), name
        elif name.endswith("query_key_value.bias"):
            assert not value.any(), name
        else:
            assert torch.equal(value, saved.state_dict()[name]), name
