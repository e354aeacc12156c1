"""--set and --language-model of a table."""

import json

import pytest

from lapse.config import load_config
from lapse.workflows.paper_tables.settings import (
    MEDIUM,
    LanguageModelChoice,
    Setting,
    overrides_of,
    parse_settings,
    read_language_model,
)


def test_settings_are_read():
    first, second = parse_settings(["train.steps=5", "diffvqa:model.pool=2"])
    assert first == Setting("train.steps", "5")
    assert second == Setting("model.pool", "2", "diffvqa")


@pytest.mark.parametrize("text", ["train.steps", "=5", "diffvqa:=5"])
def test_another_form_is_refused(text):
    with pytest.raises(ValueError, match="is not of the form key=value or stage:key=value"):
        parse_settings([text])


def test_an_unknown_stage_is_refused():
    with pytest.raises(ValueError, match="no stage 'stage1'; known: pretrain, diffvqa"):
        parse_settings(["stage1:train.steps=5"])


def test_a_length_replaces_the_other_length():
    config = load_config("pretrain-lapse")
    overrides = overrides_of(parse_settings(["train.steps=5", "model.pool=2"]), config)
    assert overrides == ["train.epochs=null", "train.steps=5"]
    changed = load_config("pretrain-lapse", overrides)
    assert (changed.train.steps, changed.train.epochs) == (5, None)
    assert overrides_of(parse_settings(["train.steps=5"]), config, keeps_length=True) == []


def folder_of(path, **changes):
    path.mkdir()
    values = {"model_type": "gpt2", "n_embd": 1024, "n_layer": 24, "n_head": 16} | changes
    (path / "config.json").write_text(json.dumps(values), "utf-8")
    return str(path)


def test_the_scale_of_the_paper_needs_gpt2_medium_or_the_word_random(tmp_path):
    with pytest.raises(ValueError, match=r"give --language-model FOLDER .* or --language-model r"):
        read_language_model(None, "paper")
    random = read_language_model("random", "paper")
    assert random == read_language_model(None, "tiny") == LanguageModelChoice()
    assert random.description == "random weights"
    medium = folder_of(tmp_path / "medium")
    choice = read_language_model(medium, "paper")
    assert (choice.weights, choice.sizes) == (medium, MEDIUM)
    small = folder_of(tmp_path / "small", n_embd=768, n_layer=12, n_head=12)
    with pytest.raises(ValueError, match="has width 768, layers 12, heads 12, GPT-2 medium has"):
        read_language_model(small, "paper")
    assert read_language_model(small, "tiny").sizes == {"width": 768, "layers": 12, "heads": 12}
    with pytest.raises(ValueError, match="is a 'bert', not a GPT-2"):
        read_language_model(folder_of(tmp_path / "bert", model_type="bert"), "tiny")
    with pytest.raises(ValueError, match="neither a folder nor a hub id with a pinned revision"):
        read_language_model("gpt2-medium", "paper")
