"""The page for users of another model: its files and commands work as they stand."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lapse.cli.main import app

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "score-your-model.md"
TEXT = PAGE.read_text("utf-8")
FILES = dict(re.findall(r'```\w+ title="([\w.]+)"\n(.*?)```', TEXT, flags=re.DOTALL))
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", TEXT, flags=re.DOTALL)
    for line in block.splitlines()
]  # fmt: skip
FAST = {"evaluate": ["--no-java", "--resamples", "100"], "compare": ["--no-java"]}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> dict[str, str]:
    """Command -> what it prints: all commands of the page, in a folder with its files."""
    folder = tmp_path_factory.mktemp("walk")
    for name, content in FILES.items():
        (folder / name).write_text(content, "utf-8")
    outputs = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in COMMANDS:
            arguments = shlex.split(line.removeprefix("lapse "))
            arguments += FAST.get(arguments[0], [])
            done = CliRunner().invoke(app, arguments)
            assert done.exit_code == 0, (line, done.output, done.exception)
            outputs[line] = done.output
        outputs["scores"] = (folder / "table.scores.json").read_text("utf-8")
        outputs["page"] = (folder / "table.html").read_text("utf-8")
        outputs["joined"] = (folder / "results.joined.jsonl").read_text("utf-8")
        outputs["free"] = (folder / "free.scores.json").read_text("utf-8")
    return outputs


def test_the_page_has_three_foreign_files_and_an_install_line():
    assert {"table.csv", "results.json", "free.csv"} <= FILES.keys() and len(COMMANDS) == 6
    assert 'pip install ".[metrics]"' in TEXT


def test_a_csv_is_scored_with_baselines(outputs):
    scores = json.loads(outputs["scores"])
    assert scores["scores"]["diff_vqa"]["exact match"]["value"] == 0.75
    assert {"constant answer", "random training answer"} <= scores["comparisons"].keys()
    printed = next(
        text for line, text in outputs.items() if line.startswith("lapse evaluate table")
    )
    assert "0.750 " in printed and "intervals of 4 patients" in printed and "(3 events)" in printed
    assert "<h2>Cases</h2>" in outputs["page"]


def test_a_part_is_joined_with_its_references(outputs):
    lines = [json.loads(line) for line in outputs["joined"].splitlines()]
    assert [line["id"] for line in lines] == ["a", "b", "c"]
    assert all(line["references"] and line["patient"] for line in lines)


def test_free_text_is_read(outputs):
    scores = json.loads(outputs["free"])["scores"]["diff_vqa"]
    assert scores["unparsed rate"]["value"] == 0.0
    assert scores["direction F1"]["value"] == 1.0
