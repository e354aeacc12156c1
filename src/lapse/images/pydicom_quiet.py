"""pydicom without its warnings and log messages: they quote the file, which may name a patient."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()  # warning filters are global to the process


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Suppress warnings and log messages; the caller checks what they are about."""
    logger = logging.getLogger("pydicom")
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.addFilter(_drop)
        try:
            yield
        finally:
            logger.removeFilter(_drop)


def _drop(_record: logging.LogRecord) -> bool:
    return False
