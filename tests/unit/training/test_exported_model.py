"""Model folders of others are data: they are checked, and they name no code."""

import json
import sys

import pytest

from lapse.training.exported_model import CONFIG, DEFAULT, WEIGHTS, read_exported_model


def copy_model(folder, change):
    """The packaged model with a changed config.json."""
    values = json.loads((DEFAULT / CONFIG).read_text("utf-8"))
    change(values)
    folder.mkdir()
    (folder / CONFIG).write_text(json.dumps(values), "utf-8")
    (folder / WEIGHTS).symlink_to(DEFAULT / WEIGHTS)
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values["diffvqa"].update(model_type="evilmod:Thing"),
        lambda values: values["pretrain"].update(model_type="evilmod:Thing"),
        lambda values: values["pretrain"]["data"].update(tasks=["evilmod:Thing"]),
        lambda values: values["pretrain"]["data"].update(require_tasks=["evilmod:Thing"]),
    ],
    ids=["vqa system", "pretraining method", "task", "required task"],
)
def test_a_folder_that_names_code_is_refused_before_any_import(change, tmp_path, monkeypatch):
    module = "from pydantic import BaseModel as config_class\nclass Thing: pass\n"
    (tmp_path / "evilmod.py").write_text(module, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    folder = copy_model(tmp_path / "model", change)
    with pytest.raises(ValueError, match="'evilmod:Thing' is not a registered name"):
        read_exported_model(folder)
    assert "evilmod" not in sys.modules


@pytest.mark.parametrize(("version", "fix"), [(1, "use lapse 0.1.0"), (3, "use the version of")])
def test_another_model_format_is_refused_with_the_fix(version, fix, tmp_path):
    folder = copy_model(tmp_path / "model", lambda values: values.update(format=version))
    with pytest.raises(ValueError, match=f"has model format {version}, .* reads format 2: {fix}"):
        read_exported_model(folder)


def test_a_damaged_file_is_refused(tmp_path):
    folder = copy_model(tmp_path / "model", lambda values: values.update(sha256=64 * "0"))
    with pytest.raises(ValueError, match=r"SHA-256 .*, config.json says 0{12}\.\.\.: damaged"):
        read_exported_model(folder)
