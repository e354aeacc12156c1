"""What the commands share: lines, bars, and where a number comes from.

Results go to stdout; everything for the person at the terminal goes to stderr.
"""

from __future__ import annotations

import logging
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lapse.core.version import __version__

console = Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """Print one line for the person at the terminal (to stderr: stdout is for results)."""
    console.print(escape(line), soft_wrap=True)


class _ConsoleHandler(logging.Handler):
    """Prints log records as plain lines on stderr; warnings and errors name their level."""

    def emit(self, record: logging.LogRecord) -> None:
        is_plain = record.levelno <= logging.INFO
        text = self.format(record)
        say(text if is_plain else f"{record.levelname.lower()}: {text}")


def set_up_logging(level: int = logging.INFO) -> None:
    """Print what the library logs ("lapse" and below) on stderr. Safe to call more than once."""
    logger = logging.getLogger("lapse")
    logger.setLevel(level)
    if not any(isinstance(handler, _ConsoleHandler) for handler in logger.handlers):
        logger.addHandler(_ConsoleHandler())


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar as the callback (done, total) that library functions take."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def program_facts() -> dict[str, str]:
    """Version, commit and command line: what produced a number."""
    command = " ".join(["lapse", *(shlex.quote(part) for part in sys.argv[1:])])
    return {"version": __version__, "commit": commit(), "command": command}


def commit() -> str:
    """The commit of the source tree that runs, or "installed package"."""
    here = Path(__file__).resolve().parent
    done = subprocess.run(
        ["git", "-C", str(here), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else "installed package"
