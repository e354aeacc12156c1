"""pydicom without its warnings and log lines: they quote a file, which may name a patient."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_ONE_AT_A_TIME = threading.Lock()  # warning filters belong to the whole process


@contextmanager
def quiet() -> Iterator[None]:
    """Drop warnings and log lines inside; what they tell of is checked by the caller."""
    logger = logging.getLogger("pydicom")
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.addFilter(_drop)
        try:
            yield
        finally:
            logger.removeFilter(_drop)


def _drop(_record: logging.LogRecord) -> bool:
    return False
