"""Every command has help, loads nothing heavy, and its choices are those of the library."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

import lapse
from lapse.cli import main as cli
from lapse.cli import options
from lapse.cli.main import COMMANDS, app
from lapse.core import registry
from lapse.core.annotation_names import REGION_SETS
from lapse.core.types import SPLITS
from lapse.data.datasets.splits import PROTOCOLS
from lapse.data.prepare.options import PrepareOptions
from lapse.evaluation.predictions.joining import IMAGE_IDS
from lapse.inference.answer_confidence import LEVELS
from lapse.metrics.consistency import RATES
from lapse.phantom.dataset.dicom_file import IMAGE_FORMATS
from lapse.phantom.dataset.options import TIER_CHOICES

PREDICTION = {
    "id": "diff_vqa/1",
    "task": "diff_vqa",
    "prediction": "nothing has changed.",
    "references": ["nothing has changed."],
    "patient": "1",
}


def run_python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def lapse_command(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help(command, option):
    assert command in lapse_command("-h")
    text = lapse_command(command, option)
    assert "Usage: " in text and "--help" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_help_text_that_is_a_phrase(command):
    for parameter in cli.expand_options(COMMANDS[command]).__signature__.parameters.values():
        (info,) = parameter.annotation.__metadata__
        assert len(info.help.split()) > 2, info.help
        assert info.help.endswith("."), info.help


def test_shell_completion_is_on():
    assert "--install-completion" in lapse_command("-h")


def test_the_choices_are_those_of_the_library():
    assert get_args(options.Split) == SPLITS
    assert get_args(options.Protocol) == PROTOCOLS
    assert get_args(options.RegionSet) == tuple(REGION_SETS)
    assert get_args(options.Confidence) == LEVELS
    assert get_args(options.ImageIds) == ("auto", *IMAGE_IDS)
    assert get_args(options.ImageFormat) == IMAGE_FORMATS
    assert get_args(options.Tier) == TIER_CHOICES
    assert tuple(options.Probe) == tuple(RATES)
    for name in ("boxes", "frontals", "resize"):
        for choice in get_args(getattr(options, name.title())):
            assert getattr(PrepareOptions(16, **{name: choice}), name) == choice


def test_a_wrong_choice_names_the_right_ones():
    done = CliRunner().invoke(app, ["predict", "run", "--data", "x", "--split", "tset"])
    assert done.exit_code == 2 and "'validate'" in done.output


def test_help_and_scoring_do_not_import_torch(tmp_path):
    file = tmp_path / "predictions.jsonl"
    file.write_text(json.dumps(PREDICTION) + "\n", "utf-8")
    code = (
        "import sys\n"
        "from lapse.cli.main import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "raise SystemExit('torch' in sys.modules)"
    )
    run_python(code, "-h")
    run_python(code, "list", "presets")
    assert "exact match" in run_python(code, "evaluate", str(file), "--no-java")


def test_the_package_lists_its_names_and_is_typed():
    assert dir(lapse) == ["Lapse", "__version__", "load"]
    run_python("import sys, lapse; dir(lapse); raise SystemExit('torch' in sys.modules)")
    run_python("from lapse import load, Lapse; assert callable(load)")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lapse.nothing  # noqa: B018 (the access is the test)
    assert (Path(lapse.__file__).parent / "py.typed").is_file()


def test_the_version_is_printed():
    assert lapse_command("--version") == f"lapse {lapse.__version__}\n"


@pytest.mark.parametrize("kind", ["tasks", "pretraining", "systems", "datasets", "metrics"])
def test_list_describes_every_plugin(kind):
    lines = lapse_command("list", kind).splitlines()
    table = registry.TABLES["vqa" if kind == "systems" else kind]
    for line, (name, plugin) in zip(lines, table.items(), strict=True):
        assert line.split()[0] == name and line.endswith(plugin.description)
        assert plugin.description


def test_list_describes_presets():
    text = lapse_command("list", "presets")
    assert "pretrain-lapse " in text and "Stage 1 of the paper (4.1)" in text


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("a [b] sentence"), "a [b] sentence"),
        (FileNotFoundError(2, "No such file", "x.csv"), "no such file or folder: x.csv"),
        (PermissionError(13, "Permission denied", "x.csv"), "x.csv: Permission denied"),
    ],
)
def test_an_error_is_one_sentence_and_exit_code_2(error, message, monkeypatch, capsys):
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"error: {message}\n"


def test_python_m_lapse_is_the_command():
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-m", "lapse", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert done.stdout == f"lapse {lapse.__version__}\n"
