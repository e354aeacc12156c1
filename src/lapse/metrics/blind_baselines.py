"""Image-blind baselines: answers made from training answers alone, for the same test samples."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import astuple

from lapse.core.seeding import derive_index
from lapse.core.types import Box
from lapse.metrics.rouge import rouge_l

CANDIDATES = 20  # most frequent training answers that are tried as the constant
MAX_COMPARED = 2000  # training answers that a candidate is compared with
_WORD = re.compile(r"[^\s.,;:?!]+")


def best_constant(answers: Sequence[str]) -> str:
    """The answer that scores best when it is given to every training question.

    Among the most frequent training answers, the one with the highest mean ROUGE-L against the
    training answers; of equal ones the more frequent. "Nothing has changed" can win: a constant
    that names no change has no change score.

    Raises:
        ValueError: no answer.
    """
    if not answers:
        raise ValueError("the constant answer needs training answers, got none")
    stride = -(-len(answers) // MAX_COMPARED)  # rounded up
    compared = Counter(_words(answer) for answer in answers[::stride])
    frequent = [answer for answer, _ in Counter(answers).most_common(CANDIDATES)]

    def total(answer: str) -> float:
        words = _words(answer)
        return sum(count * rouge_l(words, other) for other, count in compared.items())

    return max(frequent, key=total)


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))


def random_answer(answers: Sequence[str], sample: str, seed: int) -> str:
    """A training answer drawn for one sample; a function of the seed and the sample's id.

    Raises:
        ValueError: no answer.
    """
    if not answers:
        raise ValueError("a random answer needs training answers, got none")
    return answers[derive_index(len(answers), seed, "random answer", sample)]


def mean_box(boxes: Iterable[tuple[str, Box]]) -> dict[str, Box]:
    """The mean box of each region name."""
    by_name: dict[str, list[Box]] = defaultdict(list)
    for name, box in boxes:
        by_name[name].append(box)
    return {
        name: Box(*(sum(edges) / len(group) for edges in zip(*map(astuple, group), strict=True)))
        for name, group in by_name.items()
    }
