"""A new run is initialized from an exported model: a folder, or the packaged model."""

import json
import logging

import pytest
import torch

import tiny_runs
from lapse.config import load_config
from lapse.core.tokenizer import Tokenizer, trimmed_ids
from lapse.inference.pretrained import Lapse
from lapse.inference.pretrained.export import from_runs
from lapse.training.exported_model import DEFAULT, WEIGHTS, read_exported_model
from lapse.training.initialization import (
    InitReport,
    initialize_weights,
    read_init_report,
    write_init_report,
)
from lapse.training.run_folder import build_model, load_run
from lapse.training.trainer import train
from tiny_store import write

MORE = Tokenizer(trimmed_ids([*tiny_runs.WORDS, "There is edema. zebra"]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("initialization")
    runs = tiny_runs.write(out)
    Lapse(from_runs(*runs)).save_pretrained(out / "model")
    return out


def config_with(stage, **update):
    """A tiny configuration with changed keys."""
    return tiny_runs.config(stage).model_copy(update={k: str(v) for k, v in update.items()})


@pytest.mark.parametrize(("stage", "run"), [("pretrain", "stage1"), ("diffvqa", "stage2")])
def test_each_stage_loads_its_part_and_tokens_keep_their_rows(folder, stage, run):
    config = config_with(stage, init_model=folder / "model")
    model, source = build_model(config, MORE), load_run(folder / run, "cpu").model
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    (message,) = initialize_weights(model, config).messages
    assert message.startswith(f"model: from {folder / 'model'}, weights ")
    assert "images by squash" in message and message.endswith("tokens known to it")
    expected, num_equal = source.state_dict(), 0
    for name, value in model.state_dict().items():
        if value.shape == expected[name].shape:
            assert torch.equal(value, expected[name].half().float()), name
            num_equal += 1
    assert num_equal > 20
    (table,) = [n for n, v in expected.items() if v.shape != fresh[n].shape]
    new = model.state_dict()[table]
    kept = torch.tensor(sorted(set(source.tokenizer.kept) & set(MORE.kept)))
    rows = torch.tensor([MORE.kept.index(int(i)) for i in kept])
    old = torch.tensor([source.tokenizer.kept.index(int(i)) for i in kept])
    assert torch.equal(new[rows], expected[table][old].half().float())
    others = sorted(set(range(len(new))) - set(rows.tolist()))
    assert others and torch.equal(new[others], fresh[table][others])


def test_stage_two_loads_only_the_encoder(folder):
    config = config_with("diffvqa", init_encoder=folder / "model")
    model, source = build_model(config, MORE), load_run(folder / "stage1", "cpu").model
    before = model.language_model.state_dict()
    before = {name: value.clone() for name, value in before.items()}
    message, *_ = initialize_weights(model, config).messages
    assert message.startswith(f"encoder: from {folder / 'model'}, weights ")
    for name, value in source.encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value.half().float()), name
    for name, value in model.language_model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_run_starts_from_an_exported_model_and_records_it(folder, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    config = config_with("diffvqa", init_model=folder / "model")
    train(config, write(tmp_path / "store"), tmp_path / "run")
    report = read_init_report(tmp_path / "run")
    (message,) = report.messages
    assert message in caplog.messages and message.startswith("model: from")
    assert report.sha256 == {"init_model": read_exported_model(folder / "model").sha256}
    trained = load_run(tmp_path / "run", "cpu").model.state_dict()
    saved = read_exported_model(folder / "model").tensors("diffvqa")
    for name, value in saved.items():
        if name.startswith("language_model.blocks") and value.dim() == 2:
            assert torch.allclose(trained[name], value, atol=0.01), name
            assert not torch.equal(trained[name], value), name


def test_init_encoder_replaces_the_encoder_of_init_model(folder, tmp_path):
    runs = tiny_runs.write(tmp_path, seed=5)
    both = config_with("diffvqa", init_model=folder / "model", init_encoder=runs[0])
    model = build_model(both, MORE)
    report = initialize_weights(model, both)
    assert [line.split(":")[0] for line in report.messages] == ["encoder", "model"]
    assert report.sha256 == {"init_model": read_exported_model(folder / "model").sha256}
    encoder = load_run(runs[0], "cpu").model.encoder.state_dict()
    saved = read_exported_model(folder / "model").tensors("diffvqa")
    differs = 0
    for name, value in model.state_dict().items():
        if name.startswith("encoder."):
            assert torch.equal(value, encoder[name.removeprefix("encoder.")]), name
            differs += not torch.equal(value, saved[name])
        elif value.shape == saved[name].shape:
            assert torch.equal(value, saved[name]), name
    assert differs > 5


@pytest.mark.parametrize("stage", ["pretrain", "diffvqa"])
def test_the_packaged_model_fits_its_presets(stage):
    config = load_config(f"{stage}-small", ["init_model=packaged"])
    saved = read_exported_model(DEFAULT)
    model = build_model(config, Tokenizer(saved.kept[stage]))
    (message,) = initialize_weights(model, config).messages
    assert message.startswith(f"model: from packaged, weights {saved.sha256[:12]}")
    for name, value in model.state_dict().items():
        assert torch.equal(value, saved.tensors(stage)[name]), name


def test_the_card_names_the_weights_and_no_path(folder, tmp_path):
    runs = tiny_runs.write(tmp_path)
    digest, other = read_exported_model(DEFAULT).sha256, 32 * "0f"
    cases = [
        ("packaged", {"init_model": digest}, f"the packaged model, SHA-256 {digest[:12]}..."),
        (
            "/home/me/mine",
            {"init_model": other},
            "model mine, SHA-256 0f0f0f0f0f0f...",
        ),
        ("/home/me/first", {"init_encoder": other}, "run first"),
    ]
    for source, sha256, name in cases:
        config = config_with("pretrain", init_model=source).model_dump(mode="json")
        (runs[0] / "config.yaml").write_text(json.dumps(config), "utf-8")
        write_init_report(runs[0], InitReport(("a sentence",), sha256))
        facts = from_runs(*runs).facts
        assert facts["pretrain: initialized from"] == name
        assert "/home" not in str(facts)


def test_the_card_names_init_model_where_both_keys_are_given(folder, tmp_path):
    runs = tiny_runs.write(tmp_path, seed=5)
    both = config_with("diffvqa", init_model=folder / "model", init_encoder=runs[0])
    train(both, write(tmp_path / "store"), tmp_path / "answers")
    source = from_runs(runs[0], tmp_path / "answers").facts["diffvqa: initialized from"]
    digest = read_exported_model(folder / "model").sha256
    assert source == f"model model, SHA-256 {digest[:12]}..."


def test_a_source_that_cannot_be_used_is_refused(folder, tmp_path):
    damaged = tmp_path / "damaged"
    Lapse(from_runs(folder / "stage1", folder / "stage2")).save_pretrained(damaged)
    weights = bytearray((damaged / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (damaged / WEIGHTS).write_bytes(bytes(weights))
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "siglip_vision_model"}', "utf-8")
    cases = [
        (damaged, "init_model", "damaged, or of another model"),
        (damaged, "init_encoder", "damaged, or of another model"),
        (other, "init_model", r"neither a run folder \(no config.yaml\) nor an exported model"),
        (tmp_path / "nowhere", "init_model", "neither a folder nor a hub id"),
    ]
    for source, key, sentence in cases:
        config = config_with("diffvqa", **{key: source})
        with pytest.raises(ValueError, match=sentence):
            initialize_weights(build_model(config, MORE), config)
    small = load_config("pretrain-tiny", ["init_model=packaged"])
    with pytest.raises(ValueError, match="does not fit this one"):
        initialize_weights(build_model(small, MORE), small)
