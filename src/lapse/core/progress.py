"""The progress callback that long functions take: progress(done, total)."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """Ignore the progress of a function."""
