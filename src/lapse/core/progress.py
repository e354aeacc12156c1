"""The progress callback that long functions take, progress(done, total), and progress bars."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

Progress = Callable[[int, int], None]
ProgressBar = Callable[[str], AbstractContextManager[Progress]]  # title -> callback of a new bar


def no_progress(done: int, total: int) -> None:
    """Ignore the progress of a function."""


def no_progress_bar(_: str) -> AbstractContextManager[Progress]:
    """Show no progress bar."""
    return nullcontext(no_progress)


class RateLog:
    """Logs the rate of a long job and the time left, at most one line a minute.

    Args:
        what: the things that are counted.
        clock: returns seconds.
    """

    def __init__(
        self, logger: logging.Logger, what: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger, self._what, self._clock = logger, what, clock
        self._start = self._last = clock()
        self._done = 0

    def __call__(self, done: int, total: int) -> None:
        """Record the progress; the signature of a `Progress`."""
        now, self._done = self._clock(), done
        if now - self._last < 60 or done == 0:
            return
        self._last = now
        rate = done / (now - self._start)
        left = timedelta(seconds=round((total - done) / rate))
        self._logger.info(
            "%s: %d of %d, %.1f a second, %s left", self._what, done, total, rate, left
        )

    def finish(self) -> None:
        """Log the rate of the complete job."""
        seconds = max(self._clock() - self._start, 1e-9)
        rate = self._done / seconds
        self._logger.info("%s: %d in %.1f s, %.1f a second", self._what, self._done, seconds, rate)
