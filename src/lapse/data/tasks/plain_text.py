"""Samples without punctuation, as PLURAL's program trains on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from lapse.core.types import Sample
from lapse.data.tasks.base import Record, Task

MAX_WORDS = 100
_PUNCTUATION = re.compile(r"[^\w\s]|_")


class PlainText:
    """The samples of another task, their question and answer without punctuation.

    Both are cut after `MAX_WORDS` words. A sample without an answer after that is left out.
    """

    def __init__(self, task: Task) -> None:
        self.name, self.records, self._task = task.name, task.records, task

    def samples(self, record: Record) -> Iterator[Sample]:
        """The samples of one record, in the order of the task."""
        for sample in self._task.samples(record):
            prefix, given, answer = map(plain_text, (sample.prefix, sample.given, sample.answer))
            if prefix and answer:
                yield replace(sample, prefix=prefix, given=given, answer=f" {answer}")


def plain_text(text: str) -> str:
    """At most `MAX_WORDS` words of a text, without punctuation.

    >>> plain_text("No change: heart-size, (as before).")
    'No change heart size as before'
    """
    return " ".join(_PUNCTUATION.sub(" ", text).split()[:MAX_WORDS])
