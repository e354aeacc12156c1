"""The `lapse` command: registers one function per command and prints errors as one sentence."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Annotated

import typer
from rich.markup import escape

from lapse.cli.console import console, set_up_logging
from lapse.cli.options import expand_options
from lapse.core import registry
from lapse.core.version import __version__

NAMES = (  # in the order of --help
    *("simulate", "verify", "init-data", "index", "prepare", "train", "predict", "evaluate"),
    *("calibrate", "compare", "audit", "report", "answer", "serve", "pacs", "table", "export"),
    *("demo", "list"),
)


def _command(name: str) -> Callable[..., None]:
    """The function NAME_command in the file NAME.py of this package."""
    word = name.replace("-", "_")
    function: Callable[..., None] = getattr(import_module(f"lapse.cli.{word}"), f"{word}_command")
    return function


COMMANDS = {name: _command(name) for name in NAMES}
app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Models that compare two chest X-rays of one patient. Research use only.",
)
for command_name, function in COMMANDS.items():
    app.command(command_name)(expand_options(function))


@app.callback(invoke_without_command=True)
def root_command(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version of the package and exit.")
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:CLASS",
            help="Class outside lapse that a run folder or model folder may name. Its module is "
            "imported, so trust its code. May be repeated.",
        ),
    ] = None,
) -> None:
    set_up_logging()
    registry.allow(*(allow or ()))
    if version:
        typer.echo(f"lapse {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; wrong input is one sentence on stderr and exit code 2."""
    try:
        app()
    except FileNotFoundError as error:
        _exit_with(f"no such file or folder: {error.filename}")
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        _exit_with(reason if error.filename is None else f"{error.filename}: {reason}")
    except ValueError as error:
        _exit_with(str(error))
    except (MemoryError, RuntimeError) as error:
        # The name is that of torch's error of a GPU, which is not imported here.
        if not isinstance(error, MemoryError) and type(error).__name__ != "OutOfMemoryError":
            raise
        _exit_with("out of memory: use a smaller batch or model, or a machine with more memory")


def _exit_with(message: str) -> None:
    console.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    raise SystemExit(2)
