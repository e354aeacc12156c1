"""Split the text of a report into sentences."""

from __future__ import annotations

import re

_END = re.compile(r"(?<=[.!?])\s+(?=[\"'(]?[A-Z_0-9])")
_NOT_AN_END = re.compile(
    r"(?:(?:^|[:;]\s)\d{1,2}|(?:^|\s)(?:[Dd]rs?|[Mm]r|[Mm]rs|[Ms]s|vs|e\.g|i\.e|approx|[A-Z]))\.$"
)


def split_sentences(text: str) -> list[str]:
    """Sentences of a text; decimals, list numbers and short titles do not end one.

    >>> split_sentences("1. A nodule of 2.5 cm. Dr. ___ was told.")
    ['1. A nodule of 2.5 cm.', 'Dr. ___ was told.']
    """
    sentences: list[str] = []
    for part in _END.split(" ".join(text.split())):
        if sentences and _NOT_AN_END.search(sentences[-1]):
            sentences[-1] += f" {part}"
        elif part:
            sentences.append(part)
    return sentences
