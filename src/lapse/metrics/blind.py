"""Blind rows: what a score is worth when no image was seen.

They are made from training answers alone and answer the same test samples as the model.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from lapse.counted import counted_index
from lapse.grammar import parse
from lapse.types import Box

CANDIDATES = 20  # most frequent training answers that are tried as the constant
TRIED_ON = 2000  # training answers that a candidate is compared with, at most
BETA = 1.2  # of ROUGE-L
_WORD = re.compile(r"[^\s.,;:?!]+")


def best_constant(answers: Sequence[str]) -> str:
    """The one answer that is worth most when it is given to every training question.

    Among the most frequent training answers, the one with the highest mean ROUGE-L against the
    training answers, ties to the more frequent one. "Nothing has changed" may win: a constant
    that names no change earns no change score (see `best_changes`).

    Raises:
        ValueError: no answer.
    """
    if not answers:
        raise ValueError("the constant answer needs training answers, got none")
    stride = -(-len(answers) // TRIED_ON)  # rounded up
    tried = Counter(_words(answer) for answer in answers[::stride])
    common = [answer for answer, _ in Counter(answers).most_common(CANDIDATES)]

    def worth(answer: str) -> float:
        words = _words(answer)
        return sum(count * rouge_l(words, other) for other, count in tried.items())

    return max(common, key=worth)


def rouge_l(said: Sequence[str], true: Sequence[str]) -> float:
    """ROUGE-L of two lists of words, in [0, 1]; 0 when either is empty."""
    shared = _longest_common(said, true)
    if not shared:
        return 0.0
    precision, recall = shared / len(said), shared / len(true)
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))


def _longest_common(one: Sequence[str], two: Sequence[str]) -> int:
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


def best_changes(answers: Sequence[str]) -> str:
    """The most frequent training answer that names a change, "" if none does."""
    named = Counter(answer for answer in answers if parse(answer).changes)
    return named.most_common(1)[0][0] if named else ""


def random_answer(answers: Sequence[str], sample: str, seed: int) -> str:
    """A training answer drawn for one sample; the same sample always gets the same one.

    Raises:
        ValueError: no answer.
    """
    if not answers:
        raise ValueError("a random answer needs training answers, got none")
    return answers[counted_index(len(answers), seed, "random answer", sample)]


def mean_box(boxes: Iterable[tuple[str, Box]]) -> dict[str, Box]:
    """The mean box of each region name."""
    found: dict[str, list[Box]] = defaultdict(list)
    for name, box in boxes:
        found[name].append(box)
    return {
        name: Box(
            sum(box.x_min for box in group) / len(group),
            sum(box.y_min for box in group) / len(group),
            sum(box.x_max for box in group) / len(group),
            sum(box.y_max for box in group) / len(group),
        )
        for name, group in found.items()
    }
