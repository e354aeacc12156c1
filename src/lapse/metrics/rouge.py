"""ROUGE-L as pycocoevalcap computes it: longest common subsequence, beta 1.2 (Lin 2004)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

BETA = 1.2


def rouge_l(said: Sequence[str], true: Sequence[str]) -> float:
    """ROUGE-L of two lists of words, in [0, 1]; 0 when either is empty."""
    return _combined(said, [true]) if said and true else 0.0


def rouge_each(said: Sequence[str], true: Sequence[Sequence[str]]) -> list[float]:
    """ROUGE-L of each answer with its references; texts tokenised and joined by blanks.

    As in the reference code the best precision and the best recall may come from different
    references, and an empty text is one empty word. Equal rows are compared once.
    """
    known: dict[tuple[str, ...], float] = {}
    found = []
    for text, references in zip(said, true, strict=True):
        key = (text, *references)
        if key not in known:
            known[key] = _combined(text.split(" "), [other.split(" ") for other in references])
        found.append(known[key])
    return found


def _combined(said: Sequence[str], true: Sequence[Sequence[str]]) -> float:
    shared = [longest_common(said, other) for other in true]
    precision = max(shared) / len(said)
    recall = max(length / len(other) for length, other in zip(shared, true, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def longest_common(one: Sequence[str], two: Sequence[str]) -> int:
    """Length of the longest common subsequence; a column of the table is one integer."""
    places: dict[str, int] = defaultdict(int)
    for index, word in enumerate(one):
        places[word] |= 1 << index
    full = (1 << len(one)) - 1
    column = full  # a 0 bit marks a row where the length grows by one
    for word in two:
        match = column & places.get(word, 0)
        column = ((column + match) | (column - match)) & full
    return len(one) - column.bit_count()
