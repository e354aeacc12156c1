"""Dataclasses become groups of options."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import typer
from typer.testing import CliRunner

from lapse.cli.options import Probe, expand_options


@dataclass(frozen=True)
class Sampling:
    panel: ClassVar[str] = "Sampling"

    size: Annotated[int, typer.Option(help="Number of samples.")]
    seed: Annotated[int, typer.Option(help="Seed of the samples.")] = 0
    probe: Annotated[list[Probe], typer.Option(help="Probe.")] = field(default_factory=list)


def build():
    calls = []

    def command(
        file: Annotated[Path, typer.Argument(help="File.")],
        sampling: Sampling,
        *,
        fast: Annotated[bool, typer.Option("--fast", help="Fast.")] = False,
    ) -> None:
        calls.append((file, sampling, fast))

    app = typer.Typer()
    app.command()(expand_options(command))
    return app, calls


def test_a_group_is_filled_from_its_options():
    app, calls = build()
    words = ["a.txt", "--size", "3", "--probe", "swap", "--probe", "blank", "--fast"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert calls == [(Path("a.txt"), Sampling(3, 0, [Probe.SWAP, Probe.BLANK]), True)]


def test_a_field_without_a_default_is_required():
    app, calls = build()
    done = CliRunner().invoke(app, ["a.txt"])
    assert done.exit_code == 2 and "--size" in done.output and calls == []


def test_the_help_shows_the_group_as_a_panel():
    app, _ = build()
    text = CliRunner().invoke(app, ["--help"]).output
    assert "─ Sampling ─" in text and "Number of samples." in text
