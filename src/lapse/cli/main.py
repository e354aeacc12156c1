"""The `lapse` command: registers one function per command and prints errors as one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from rich.markup import escape

from lapse.cli.answer import answer_command
from lapse.cli.audit import audit_command
from lapse.cli.calibrate import calibrate_command
from lapse.cli.compare import compare_command
from lapse.cli.console import console, set_up_logging
from lapse.cli.demo import demo_command
from lapse.cli.evaluate import evaluate_command
from lapse.cli.export import export_command
from lapse.cli.index import index_command
from lapse.cli.init_data import init_data_command
from lapse.cli.list import list_command
from lapse.cli.options import expand_options
from lapse.cli.pacs import pacs_command
from lapse.cli.predict import predict_command
from lapse.cli.prepare import prepare_command
from lapse.cli.report import report_command
from lapse.cli.serve import serve_command
from lapse.cli.simulate import simulate_command
from lapse.cli.table import table_command
from lapse.cli.train import train_command
from lapse.cli.verify import verify_command
from lapse.core import registry
from lapse.core.version import __version__

COMMANDS: dict[str, Callable[..., None]] = {
    "simulate": simulate_command,
    "verify": verify_command,
    "init-data": init_data_command,
    "index": index_command,
    "prepare": prepare_command,
    "train": train_command,
    "predict": predict_command,
    "evaluate": evaluate_command,
    "calibrate": calibrate_command,
    "compare": compare_command,
    "audit": audit_command,
    "report": report_command,
    "answer": answer_command,
    "serve": serve_command,
    "pacs": pacs_command,
    "table": table_command,
    "export": export_command,
    "demo": demo_command,
    "list": list_command,
}

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
        if not _is_out_of_memory(error):
            raise
        _exit_with("out of memory: use a smaller batch or model, or a machine with more memory")


def _is_out_of_memory(error: BaseException) -> bool:
    """Also torch's error of a GPU, without an import of torch."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _exit_with(message: str) -> None:
    console.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    raise SystemExit(2)
