"""One METEOR process for all metric tests, started from a folder with a blank in its name."""

import importlib.util
import shutil
from pathlib import Path

import pytest

JARS = (
    "meteor/meteor-1.5.jar",
    "meteor/data/paraphrase-en.gz",
    "tokenizer/stanford-corenlp-3.4.1.jar",
)


@pytest.fixture(scope="session")
def blank_folder(tmp_path_factory):
    """The jars of pycocoevalcap, copied to a folder whose name holds a blank."""
    source = Path(importlib.util.find_spec("pycocoevalcap").submodule_search_locations[0])
    folder = tmp_path_factory.mktemp("with blank")
    for name in JARS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, folder / name)
    return folder


@pytest.fixture
def blank_path(blank_folder, monkeypatch):
    """Every jar is looked for in that folder: METEOR's own look-up would fail there."""
    monkeypatch.setattr("lapse.metrics.java.package_folder", lambda: blank_folder)
    return blank_folder
