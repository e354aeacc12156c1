"""Blind rows: what a score is worth when no image was seen.

They are made from training answers alone and answer the same test samples as the model.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from lapse.core.grammar import parse
from lapse.core.seeding import derive_index
from lapse.core.types import Box
from lapse.metrics.rouge import rouge_l

CANDIDATES = 20  # most frequent training answers that are tried as the constant
TRIED_ON = 2000  # training answers that a candidate is compared with, at most
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


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))


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
    return answers[derive_index(len(answers), seed, "random answer", sample)]


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
