"""The commands of the first tutorial run in order, with fewer patients and steps."""

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from lapse.cli.main import app

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "first-steps.md"
SMALLER = {"--patients 160": "--patients 24", "train.steps=200": "train.steps=2"}


def test_the_commands_of_the_first_tutorial_run(tmp_path, monkeypatch):
    text = PAGE.read_text("utf-8").partition("## 1. Simulate")[2]
    for old, new in SMALLER.items():
        assert old in text
        text = text.replace(old, new)
    monkeypatch.chdir(tmp_path)
    commands = []
    for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL):
        for line in block.splitlines():
            _, *words = shlex.split(line)
            done = CliRunner().invoke(app, words, catch_exceptions=False)
            assert done.exit_code == 0, f"{line}\n{done.output}"
            commands.append(words[0])
    expected = ["simulate", "verify", "prepare", "train", "train", "predict", "evaluate", "report"]
    assert commands == expected
    assert (tmp_path / "runs" / "diffvqa" / "report.html").is_file()
