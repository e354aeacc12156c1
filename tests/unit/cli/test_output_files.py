"""An output that cannot be a file is refused before anything is read."""

import os
import sys

import pytest

from lapse.cli import main as command_line

COMMANDS = {
    "evaluate": ["evaluate", "none.jsonl", "--out"],
    "evaluate, joined": ["evaluate", "none.jsonl", "--write-joined"],
    "compare": ["compare", "none.jsonl", "other.jsonl", "--out"],
    "report": ["report", "none.jsonl", "--out"],
    "calibrate": ["calibrate", "none.jsonl", "--out"],
    "calibrate, probabilities": ["calibrate", "none.jsonl", "--calibration"],
    "index": ["index", "."],
    "verify": ["verify", ".", "--json"],
}


def error_of(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lapse", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        command_line.main()
    message = capsys.readouterr().err.strip()
    assert stop.value.code == 2 and "\n" not in message, message
    return message


@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_cannot_be_a_file(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    words = COMMANDS[command]
    for out, reason in (("folder", "is a folder"), ("file/out.json", "is a file")):
        assert reason in error_of([*words, tmp_path / out], monkeypatch, capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every folder")
def test_a_folder_without_permission(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fixed").mkdir(mode=0o555)
    message = error_of([*COMMANDS["evaluate"], "fixed/scores.json"], monkeypatch, capsys)
    assert "fixed/scores.json cannot be written: no permission" in message
