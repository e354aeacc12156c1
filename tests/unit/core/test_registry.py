"""The contract: every registered name loads, builds tiny, learns a step, and keeps its weights."""

import pytest
import torch

from lapse.core import registry
from lapse.training.weight_files import load_weights, save_weights
from tiny_models import build

# Methods whose mean loss is over rows, not over tokens.
PER_PAIR = {
    ("pretraining", name) for name in ("global_contrastive", "regional_contrastive", "blip2")
}
WRITES_NOTHING = {"global_contrastive", "regional_contrastive"}
MODELS = [(table, name) for table in ("pretraining", "vqa") for name in registry.names(table)]


@pytest.mark.parametrize("table", list(registry.TABLES))
def test_every_name_imports(table):
    for name in registry.names(table):
        plugin = registry.load(table, name)
        assert plugin.__module__ == registry.TABLES[table][name].path.split(":")[0]


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
    if name == "findings":  # its mean is over the regions with a box
        targets = sum(len(boxes) for sample in batch.samples for boxes in sample.boxes)
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
    decode = config.generation.model_copy(update={"num_beams": 2, "max_new_tokens": 4})
    if name in WRITES_NOTHING:
        with pytest.raises(ValueError, match=f"{name} has no decoder"):
            model.answer(batch, decode)
        return
    answers = model.answer(batch, decode)
    assert len(answers) == len(batch) and all(isinstance(text, str) for text in answers)


def test_errors_of_unknown_names_have_the_nearest_one():
    with pytest.raises(ValueError, match="did you mean 'captioner'"):
        registry.load("pretraining", "captoner")
    with pytest.raises(ValueError, match="no plug-in table 'pretrain'"):
        registry.names("pretrain")
    with pytest.raises(ValueError, match="cannot be imported"):
        registry.load("tasks", "no_such_package:Thing")


@pytest.mark.parametrize(("table", "name"), MODELS)
def test_the_configuration_class_of_an_entry_is_that_of_the_model(table, name):
    assert registry.load_config_class(table, name) is registry.load(table, name).config_class


@pytest.mark.parametrize("table", list(registry.TABLES))
def test_every_entry_has_a_one_line_description(table):
    for plugin in registry.TABLES[table].values():
        assert 5 < len(plugin.description) < 80 and "\n" not in plugin.description


def test_default_tasks_and_tasks_of_metrics_are_registered():
    plugins = [plugin for table in registry.TABLES.values() for plugin in table.values()]
    tasks = {task for plugin in plugins for task in plugin.tasks} - {registry.OTHER_TASKS}
    assert tasks <= set(registry.names("tasks"))


def test_only_registered_names_where_a_path_is_not_allowed():
    assert registry.find("vqa", "real", registered_only=True) is registry.find("vqa", "real")
    with pytest.raises(ValueError, match="'os:getcwd' is not a registered name of tasks; known"):
        registry.find("tasks", "os:getcwd", registered_only=True)


def test_a_plugin_from_outside_is_a_path():
    assert registry.load("tasks", "lapse.data.tasks.cap:Cap").name == "cap"


def test_a_class_of_a_folder_must_be_allowed(monkeypatch):
    monkeypatch.setattr(registry, "_allowed", set())
    path = "lapse.data.tasks.cap:Cap"
    with pytest.raises(ValueError, match=rf"{path}' is not a registered .*lapse --allow {path}"):
        registry.find("tasks", path, registered_only=True)
    registry.allow(path)
    assert registry.find("tasks", path, registered_only=True).path == path
    for name in ("cap", ":Cap", "module:"):
        with pytest.raises(ValueError, match="names no class to allow: write it as module:Class"):
            registry.allow(name)
