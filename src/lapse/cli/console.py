"""Logging, progress bars and provenance of the commands.

Results are printed to stdout; log lines, progress bars and errors to stderr.
"""

from __future__ import annotations

import logging
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich import progress
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from lapse.core.version import __version__

console = Console(stderr=True, highlight=False)


class _ConsoleHandler(logging.Handler):
    """Prints log records as plain lines on stderr; warnings and errors name their level."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        console.print(escape(level + self.format(record)), soft_wrap=True)


def set_up_logging(level: int = logging.INFO) -> None:
    """Print the records of the logger "lapse" on stderr. May be called more than once."""
    logger = logging.getLogger("lapse")
    logger.setLevel(level)
    if not any(isinstance(handler, _ConsoleHandler) for handler in logger.handlers):
        logger.addHandler(_ConsoleHandler())


class _RateColumn(progress.ProgressColumn):
    """Finished units per second, averaged over the last tasks of the bar."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: progress.Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self._unit}/s")


@contextmanager
def progress_bar(
    title: str, *, unit: str = "", is_shown: bool = True
) -> Iterator[Callable[[int, int], None]]:
    """A progress bar as the callback (done, total) of library functions.

    Args:
        title: in front of the bar.
        unit: of the rate, such as "rows"; "" shows no rate.
        is_shown: False shows nothing, as on ranks other than 0.
    """
    columns = [
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        *([_RateColumn(unit)] if unit else []),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    ]
    with progress.Progress(*columns, console=console, disable=not is_shown) as bar:
        task = bar.add_task(title, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def program_facts() -> dict[str, str]:
    """Version, commit and command line, for the provenance of results."""
    command = " ".join(["lapse", *(shlex.quote(part) for part in sys.argv[1:])])
    return {"version": __version__, "commit": commit(), "command": command}


def commit() -> str:
    """The commit of the running source tree, or "installed package"."""
    folder = Path(__file__).resolve().parent
    done = subprocess.run(
        ["git", "-C", str(folder), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else "installed package"
