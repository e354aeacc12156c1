"""Run folders: what they hold, and which ones are refused."""

import pytest
import torch
import yaml

import tiny_model
from lapse.config import load_config
from lapse.core import registry
from lapse.core.tokenizer import Tokenizer
from lapse.core.word_tokenizer import WordTokenizer
from lapse.training.run_folder import (
    CONFIG,
    build_model,
    is_run_folder,
    load_run,
    read_config,
    write_run,
)

FACTS = {"data": "0f", "threads": 1, "ranks": 1, "device": "cpu", "torch": "2"}


def test_a_folder_is_a_run_once_its_configuration_is_written(tmp_path):
    folder = tmp_path / "run"
    assert not is_run_folder(folder)
    config = tiny_model.config()
    write_run(folder, config, Tokenizer(), FACTS)
    assert is_run_folder(folder) and read_config(folder) == config
    with pytest.raises(ValueError, match=r"no valid checkpoint \(none written\): train it first"):
        load_run(folder)
    (folder / CONFIG).rename(folder / f"{CONFIG}.123.tmp")  # as after a kill
    assert not is_run_folder(folder)
    (folder / "photo.jpg").touch()
    with pytest.raises(ValueError, match=r"not a run folder and not empty \(it holds photo.jpg"):
        is_run_folder(folder)


@pytest.mark.parametrize("key", ["loop", "model_name"])
def test_a_run_of_the_first_version_is_refused_with_the_version_that_reads_it(key, tmp_path):
    values = tiny_model.config().model_dump(mode="json")
    values[key] = values.pop({"loop": "train", "model_name": "model_type"}[key])
    (tmp_path / CONFIG).write_text(yaml.safe_dump(values), "utf-8")
    with pytest.raises(ValueError, match=r"a run of lapse 0\.1, .*: use it with lapse 0\.1\.0"):
        load_run(tmp_path)


def test_words_are_refused_for_a_model_of_gpt2s_tokens():
    words = WordTokenizer(["edema"])
    with torch.device("meta"):
        build_model(load_config("diffvqa-ekaid-published-tiny"), words)
        with pytest.raises(ValueError, match="vocabulary is 'words' and 'prefix_lm' reads GPT-2"):
            build_model(load_config("diffvqa-tiny", ["data.vocabulary=words"]), words)


@pytest.mark.parametrize("key", ["model_type", "data"])
def test_a_folder_that_names_code_is_refused_until_the_user_allows_it(key, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_allowed", set())
    monkeypatch.syspath_prepend(tmp_path)
    lines = (
        "from lapse.data.tasks.cap import Cap",
        "from tiny_model import Tiny as Thing",
        "open('imported', 'w').close()",
    )
    (tmp_path / f"foreign_{key}.py").write_text("\n".join(lines), "utf-8")
    monkeypatch.chdir(tmp_path)
    name = f"foreign_{key}:{'Thing' if key == 'model_type' else 'Cap'}"
    values = tiny_model.config().model_dump(mode="json")
    if key == "data":
        values |= {"model_type": "captioner", "model": {}}
        values["data"]["tasks"] = [name]
    else:
        values["model_type"] = name
    (tmp_path / CONFIG).write_text(yaml.safe_dump(values), "utf-8")
    with pytest.raises(ValueError, match=f"{CONFIG}: .*{name}' is not a registered .*--allow"):
        read_config(tmp_path)
    assert not (tmp_path / "imported").exists()
    registry.allow(name)
    assert name in read_config(tmp_path).class_paths
