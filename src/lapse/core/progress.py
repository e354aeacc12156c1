"""The progress callback that long functions take, progress(done, total), and progress bars."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Progress = Callable[[int, int], None]
ProgressBar = Callable[[str], AbstractContextManager[Progress]]  # title -> callback of a new bar


def no_progress(done: int, total: int) -> None:
    """Ignore the progress of a function."""


def no_progress_bar(_: str) -> AbstractContextManager[Progress]:
    """Show no progress bar."""
    return nullcontext(no_progress)
