"""pydicom and highdicom without their warnings and log messages, which may name a patient."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_LOGGERS = ("pydicom", "highdicom")
_LOCK = threading.Lock()  # warning filters are global to the process


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Suppress warnings and log messages; the caller checks what they are about. Not to nest."""
    with _LOCK, quiet(_LOGGERS):
        yield


@contextmanager
def quiet(names: Sequence[str]) -> Iterator[None]:
    """Suppress warnings, and the log messages of loggers with these names, at any level."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)  # also of the loggers below it
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
