"""Training in stages: a run is initialized from another run, completely or in parts."""

import logging

import pytest
import torch

from lapse.config import check_config, load_config
from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.training.initialization import initialize_weights
from lapse.training.run_folder import build_model, load_run, read_tokenizer
from lapse.training.trainer import train
from tiny_store import write

ENCODER = {
    "image_size": 32, "patch_size": 16, "channels": 1, "width": 16, "layers": 1, "heads": 2,
    "mlp_width": 32,
}  # fmt: skip
QFORMER = {"queries": 3, "width": 16, "layers": 2, "heads": 2, "mlp_width": 32, "max_tokens": 96}
SHORT = [
    f"model.encoder={ENCODER}",
    *("train.precision=fp32", "train.steps=2", "train.batch_size=4", "train.eval_samples=4"),
]
PLURAL = [
    *SHORT,
    "model.layers=1",
    "model.decoder={width: 16, layers: 1, heads: 2, mlp_width: 32, max_tokens: 96}",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("staged")
    data = write(out / "store")
    train(load_config("diffvqa-plural-report-tiny", PLURAL), data, out / "report")
    return out


def test_the_next_stage_starts_with_the_weights_of_the_previous_one(folder, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    config = load_config("diffvqa-plural-tiny", [*PLURAL, f"init_model={folder / 'report'}"])
    train(config, folder / "store", folder / "answer")
    (line,) = [line for line in caplog.messages if line.startswith("model: from")]
    assert "step 2" in line and "tokens known to it" in line
    before, after = load_run(folder / "report"), load_run(folder / "answer")
    one, two = before.model.slots[1], after.model.slots[1]
    assert torch.allclose(one, two, atol=0.01) and not torch.equal(one, two)


def test_tokens_keep_their_rows_by_id_and_new_ones_stay_random(folder):
    old = read_tokenizer(folder / "report")
    new = Tokenizer(trimmed_ids(["There is edema. zebra"]))
    config = load_config("diffvqa-plural-tiny", [*PLURAL, f"init_model={folder / 'report'}"])
    model, source = build_model(config, new), load_run(folder / "report").model
    random = model.decoder.tokens.weight.detach().clone()
    initialize_weights(model, config)
    table, expected = model.decoder.tokens, source.decoder.tokens
    shared = sorted(set(old.kept) & set(new.kept))
    added = sorted(set(new.kept) - set(old.kept))
    assert len(shared) > 256 and added
    ids = torch.tensor(shared)
    assert torch.equal(table.weight[table.row_of[ids]], expected.weight[expected.row_of[ids]])
    ids = torch.tensor(added)
    assert torch.equal(table.weight[table.row_of[ids]], random[table.row_of[ids]])
    assert torch.equal(model.positions, source.positions)


def test_another_system_or_another_size_is_refused(folder):
    other = load_config("diffvqa-ekaid-tiny", [*SHORT, f"init_model={folder / 'report'}"])
    model = build_model(other, Tokenizer())
    with pytest.raises(ValueError, match="is a run of 'plural', this is a run of 'ekaid'"):
        initialize_weights(model, other)
    changes = ["model.layers=2", f"init_model={folder / 'report'}"]
    wider = load_config("diffvqa-plural-tiny", [*PLURAL, *changes])
    with pytest.raises(ValueError, match="does not fit this one"):
        initialize_weights(build_model(wider, Tokenizer()), wider)


def test_two_sources_are_refused_in_stage_one():
    with pytest.raises(ValueError, match="give at most one of them in stage 1"):
        load_config("pretrain-tiny", ["init_model=a", "init_encoder=b"])


def test_a_system_without_an_encoder_refuses_init_encoder():
    config = load_config("diffvqa-constant", ["init_encoder=somewhere"])
    with pytest.raises(ValueError, match="'blind' has no encoder: remove init_encoder"):
        initialize_weights(build_model(config, Tokenizer()), config)


def stage_one(name, model):
    return check_config(
        {
            "name": name, "stage": "pretrain", "model_type": name, "model": model,
            "data": {"tasks": ["cap"], "max_tokens": 96, "vocabulary": "trimmed"},
            "optim": {"learning_rate": 0.001, "warmup_steps": 0},
            "train": {"precision": "fp32", "steps": 2, "batch_size": 4, "eval_samples": 4},
        }
    )  # fmt: skip


def test_inherited_parts_are_loaded_by_name(folder):
    first = stage_one("blip2", {"encoder": ENCODER, "qformer": QFORMER, "embedding_width": 8})
    train(first, folder / "store", folder / "blip2")
    source = load_run(folder / "blip2").model
    language = {"width": 16, "layers": 1, "heads": 2, "max_positions": 96}
    sizes = {"encoder": ENCODER, "qformer": QFORMER, "language_model": language}
    writer = stage_one("blip2_writer", sizes)
    model = build_model(writer, Tokenizer())
    projection = model.project.weight.detach().clone()
    writer = writer.model_copy(update={"init_model": str(folder / "blip2")})
    assert "step 2" in initialize_weights(model, writer).messages[0]
    assert torch.equal(model.qformer.queries, source.qformer.queries)
    assert torch.equal(model.encoder.positions, source.encoder.positions)
    assert torch.equal(model.project.weight, projection)


def test_the_blip2_system_loads_encoder_and_q_former(folder):
    config = load_config(
        "diffvqa-blip2-tiny",
        [*SHORT, f"model.qformer={QFORMER}", f"init_encoder={folder / 'blip2'}",
         "model.language_model={width: 16, layers: 1, heads: 2, max_positions: 96}"],
    )  # fmt: skip
    model = build_model(config, Tokenizer())
    lines = initialize_weights(model, config).messages
    assert any(line.startswith("qformer: ") and "tensors" in line for line in lines)
    source = load_run(folder / "blip2").model
    assert torch.equal(model.qformer.queries, source.qformer.queries)
