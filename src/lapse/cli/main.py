"""The command line: every command of `lapse`, and how an error reads.

Each stage meets the next in files; wrong input is one sentence.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from lapse.cli.answer import answer
from lapse.cli.calibrate import calibrate
from lapse.cli.compare import compare
from lapse.cli.console import console, set_up_logging
from lapse.cli.demo import demo
from lapse.cli.evaluate import evaluate
from lapse.cli.export import export
from lapse.cli.predict import predict
from lapse.cli.prepare import prepare
from lapse.cli.report import report
from lapse.cli.simulate import simulate
from lapse.cli.table import table
from lapse.cli.train import train
from lapse.cli.verify import verify
from lapse.core.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="lapse: what changed between two chest X-rays of one patient. Research use only.",
)

for command in (
    simulate,
    verify,
    prepare,
    train,
    predict,
    evaluate,
    calibrate,
    compare,
    report,
    answer,
    table,
    export,
    demo,
):
    app.command()(command)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"lapse {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point: a ValueError becomes one sentence and exit code 2."""
    set_up_logging()
    try:
        app()
    except ValueError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}")
        raise SystemExit(2) from None
    except FileNotFoundError as error:
        console.print(f"[bold red]error:[/] no such file or folder: {escape(str(error.filename))}")
        raise SystemExit(2) from None
