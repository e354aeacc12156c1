"""The contract: every registered name loads, builds tiny, learns a step, and keeps its weights."""

import pytest
import torch

from lapse.config import load_config
from lapse.core import registry
from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.core.types import Box, Sample
from lapse.data.loading.batch import collate, encode_sample
from lapse.training.checkpoint import load_weights, save_weights

ENCODER = (
    "model.encoder={image_size: 32, patch_size: 16, channels: 1, width: 16, layers: 1, heads: 2, "
    "mlp_width: 32}"
)
GPT2 = "model.language_model={width: 16, layers: 1, heads: 2, max_positions: 96, dropout: 0.0}"
DECODER = "model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 48}"
TEXT = "model.text={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 48}"
QFORMER = (
    "model.qformer={queries: 3, width: 16, layers: 2, heads: 2, mlp_width: 32, max_tokens: 48, "
    "dropout: 0.0}"
)
# Methods whose mean loss is over rows, not over tokens.
PER_PAIR = {("methods", name) for name in ("global_contrastive", "regional_contrastive", "blip2")}
WRITES_NOTHING = {"global_contrastive", "regional_contrastive"}
# The preset that builds each model, and what makes it small.
TINY = {
    ("methods", "captioner"): ("pretrain-tiny", [ENCODER, "model.adapter_width=16", DECODER]),
    ("methods", "global_contrastive"): ("pretrain-global-tiny", [ENCODER, TEXT]),
    ("methods", "regional_contrastive"): ("pretrain-regional-tiny", [ENCODER, TEXT]),
    ("methods", "blip2"): ("pretrain-blip2-tiny", [ENCODER, QFORMER, "model.embedding_width=8"]),
    ("methods", "blip2_writer"): ("pretrain-blip2-writer-tiny", [ENCODER, QFORMER, GPT2]),
    ("systems", "prefix_lm"): ("diffvqa-tiny", [ENCODER, GPT2]),
    ("systems", "blip2"): (
        "diffvqa-blip2-tiny",
        [
            ENCODER,
            GPT2,
            "model.qformer={queries: 3, width: 16, layers: 2, heads: 2, mlp_width: 32}",
        ],
    ),
    ("systems", "real"): (
        "diffvqa-real-tiny",
        [ENCODER, ENCODER.replace("model.encoder", "model.residual"), GPT2],
    ),
    ("systems", "plural"): ("diffvqa-plural-tiny", [ENCODER, DECODER, "model.layers=1"]),
    ("systems", "rgag"): ("diffvqa-rgag-tiny", [ENCODER, GPT2, "model.report_tokens=16"]),
    ("systems", "ekaid"): (
        "diffvqa-ekaid-tiny",
        [ENCODER, "model.width=16", "model.heads=2", "model.words=16"],
    ),
    ("systems", "blind"): ("diffvqa-constant", []),
}
MODELS = [(table, name) for table in ("methods", "systems") for name in registry.names(table)]
PLACES = (("carina", Box(0.4, 0.4, 0.6, 0.6)), ("right lung", Box(0.1, 0.1, 0.5, 0.9)))


def build(table, name):
    preset, changes = TINY[table, name]
    config = load_config(preset, changes)
    images = (("a",), ("b",)) if table == "methods" else (("a", "b"),) * 2
    task = "cap" if table == "methods" else "diff_vqa"
    samples = [
        Sample(
            f"{task}/{i}", task, images[i], "p", "what changed?", "", f" word {i}.",
            PLACES[i][1], boxes=(PLACES,) * len(images[i]), reports=("a report",) * len(images[i]),
        )
        for i in range(2)
    ]  # fmt: skip
    tokenizer = Tokenizer(trimmed_ids([s.prefix + s.answer for s in samples]))
    torch.manual_seed(0)
    model = registry.load(table, name)(config.model_config_object(), tokenizer)
    texts = [encode_sample(sample, tokenizer, 48) for sample in samples]
    grey = torch.arange(32 * 32, dtype=torch.uint8).reshape(32, 32)
    batch = collate(samples, texts, {"a": grey, "b": grey.flip(0)})
    return config, model, batch


@pytest.mark.parametrize("table", list(registry.TABLES))
def test_every_name_imports(table):
    for name in registry.names(table):
        plugin = registry.load(table, name)
        assert plugin.__module__ == registry.TABLES[table][name].split(":")[0]


@pytest.mark.parametrize(("table", "name"), MODELS)
def test_one_step_lowers_the_loss_and_weights_round_trip(table, name, tmp_path):
    _, model, batch = build(table, name)
    assert isinstance(model, torch.nn.Module)
    rate = 1e-3 if (table, name) in PER_PAIR else 1e-2
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)
    model.eval()
    before = model.loss(batch)["loss"]
    assert before.ndim == 0 and torch.isfinite(before)
    targets = len(batch) if (table, name) in PER_PAIR else batch.loss_mask.sum().item()
    assert model.weight(batch) == targets
    before.backward()
    optimizer.step()
    after = model.loss(batch)["loss"]
    assert after < before
    save_weights(tmp_path / "w.safetensors", model)
    _, other, _ = build(table, name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    load_weights(tmp_path / "w.safetensors", other)
    other.eval()
    assert torch.equal(other.loss(batch)["loss"], after)


@pytest.mark.parametrize(("table", "name"), MODELS)
def test_answers_are_one_string_per_row(table, name):
    config, model, batch = build(table, name)
    model.loss(batch)  # a blind system answers from what it was trained on
    model.eval()
    decode = config.generation.model_copy(update={"beams": 2, "max_tokens": 4})
    if name in WRITES_NOTHING:
        with pytest.raises(ValueError, match=f"{name} writes no text"):
            model.answer(batch, decode)
        return
    answers = model.answer(batch, decode)
    assert len(answers) == len(batch) and all(isinstance(text, str) for text in answers)


def test_unknown_names_say_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'captioner'"):
        registry.load("methods", "captoner")
    with pytest.raises(ValueError, match="no plug-in table 'method'"):
        registry.names("method")
    with pytest.raises(ValueError, match="cannot be imported"):
        registry.load("tasks", "no_such_package:Thing")


def test_a_plugin_from_outside_is_a_path():
    assert registry.load("tasks", "lapse.data.tasks.cap:Cap").name == "cap"
