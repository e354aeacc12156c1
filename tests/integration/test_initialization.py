"""A new run begins with a saved model: one of a folder, or the one in the package."""

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
    made = tmp_path_factory.mktemp("begin")
    runs = tiny_runs.write(made)
    Lapse(from_runs(*runs)).save_pretrained(made / "model")
    return made


def beginning(stage, **update):
    """A tiny configuration that begins with something."""
    return tiny_runs.config(stage).model_copy(update={k: str(v) for k, v in update.items()})


@pytest.mark.parametrize(("stage", "run"), [("pretrain", "stage1"), ("diffvqa", "stage2")])
def test_each_stage_takes_its_half_and_tokens_keep_their_rows(folder, stage, run):
    config = beginning(stage, init_model=folder / "model")
    model, source = build_model(config, MORE), load_run(folder / run, "cpu").model
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    (told,) = initialize_weights(model, config).messages
    assert told.startswith(f"model: from {folder / 'model'}, weights ")
    assert "images by squash" in told and told.endswith("tokens known to it")
    theirs, taken = source.state_dict(), 0
    for name, value in model.state_dict().items():
        if value.shape == theirs[name].shape:
            assert torch.equal(value, theirs[name].half().float()), name
            taken += 1
    assert taken > 20
    (table,) = [n for n, v in theirs.items() if v.shape != fresh[n].shape]
    new = model.state_dict()[table]
    kept = torch.tensor(sorted(set(source.tokenizer.kept) & set(MORE.kept)))
    rows = torch.tensor([MORE.kept.index(int(i)) for i in kept])
    old = torch.tensor([source.tokenizer.kept.index(int(i)) for i in kept])
    assert torch.equal(new[rows], theirs[table][old].half().float())
    others = sorted(set(range(len(new))) - set(rows.tolist()))
    assert others and torch.equal(new[others], fresh[table][others])


def test_stage_two_takes_the_encoder_alone(folder):
    config = beginning("diffvqa", init_encoder=folder / "model")
    model, source = build_model(config, MORE), load_run(folder / "stage1", "cpu").model
    before = model.language_model.state_dict()
    before = {name: value.clone() for name, value in before.items()}
    told, *_ = initialize_weights(model, config).messages
    assert told.startswith(f"encoder: from {folder / 'model'}, weights ")
    for name, value in source.encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value.half().float()), name
    for name, value in model.language_model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_real_run_goes_on_from_it_and_keeps_what_it_began_with(folder, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    config = beginning("diffvqa", init_model=folder / "model")
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


def test_stage_two_goes_on_with_an_encoder_that_went_on(folder, tmp_path):
    runs = tiny_runs.write(tmp_path, seed=5)
    both = beginning("diffvqa", init_model=folder / "model", init_encoder=runs[0])
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
def test_the_packaged_model_fits_the_presets_that_made_it(stage):
    config = load_config(f"{stage}-small", ["init_model=packaged"])
    saved = read_exported_model(DEFAULT)
    model = build_model(config, Tokenizer(saved.kept[stage]))
    (told,) = initialize_weights(model, config).messages
    assert told.startswith(f"model: from packaged, weights {saved.sha256[:12]}")
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
        config = beginning("pretrain", init_model=source).model_dump(mode="json")
        (runs[0] / "config.yaml").write_text(json.dumps(config), "utf-8")
        write_init_report(runs[0], InitReport(("a sentence",), sha256))
        facts = from_runs(*runs).facts
        assert facts["pretrain: initialized from"] == name
        assert "/home" not in str(facts)


def test_the_card_tells_the_model_where_both_keys_are_given(folder, tmp_path):
    runs = tiny_runs.write(tmp_path, seed=5)
    both = beginning("diffvqa", init_model=folder / "model", init_encoder=runs[0])
    train(both, write(tmp_path / "store"), tmp_path / "answers")
    source = from_runs(runs[0], tmp_path / "answers").facts["diffvqa: initialized from"]
    digest = read_exported_model(folder / "model").sha256
    assert source == f"model model, SHA-256 {digest[:12]}..."


def test_what_cannot_be_begun_with_is_refused(folder, tmp_path):
    damaged = tmp_path / "damaged"
    Lapse(from_runs(folder / "stage1", folder / "stage2")).save_pretrained(damaged)
    whole = bytearray((damaged / WEIGHTS).read_bytes())
    whole[-1] ^= 1
    (damaged / WEIGHTS).write_bytes(bytes(whole))
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
        config = beginning("diffvqa", **{key: source})
        with pytest.raises(ValueError, match=sentence):
            initialize_weights(build_model(config, MORE), config)
    small = load_config("pretrain-tiny", ["init_model=packaged"])
    with pytest.raises(ValueError, match="does not fit this one"):
        initialize_weights(build_model(small, MORE), small)
