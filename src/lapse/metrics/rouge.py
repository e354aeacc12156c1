"""ROUGE-L as pycocoevalcap computes it: longest common subsequence, beta 1.2 (Lin 2004)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

BETA = 1.2


def rouge_l(answer: Sequence[str], reference: Sequence[str]) -> float:
    """ROUGE-L of two lists of words, in [0, 1]; 0 when either is empty."""
    return _combined(answer, [reference]) if answer and reference else 0.0


def rouge_each(answers: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """ROUGE-L of each answer with its references; texts are tokenized and joined by blanks.

    As in the reference code the best precision and the best recall may come from different
    references, and an empty text is one empty word. Equal rows are compared once.
    """
    values: dict[tuple[str, ...], float] = {}
    scores = []
    for text, others in zip(answers, references, strict=True):
        key = (text, *others)
        if key not in values:
            values[key] = _combined(text.split(" "), [other.split(" ") for other in others])
        scores.append(values[key])
    return scores


def _combined(answer: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    lengths = [longest_common(answer, reference) for reference in references]
    precision = max(lengths) / len(answer)
    recall = max(
        length / len(reference) for length, reference in zip(lengths, references, strict=True)
    )
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence; a column of the table is one integer."""
    positions: dict[str, int] = defaultdict(int)
    for index, word in enumerate(first):
        positions[word] |= 1 << index
    full = (1 << len(first)) - 1
    column = full  # a 0 bit marks a row where the length grows by one
    for word in second:
        match = column & positions.get(word, 0)
        column = ((column + match) | (column - match)) & full
    return len(first) - column.bit_count()
