"""BLEU and CIDEr of all samples at once, equal to pycocoevalcap's to rounding, many times faster.

Words become integers, n-grams pairs of integers, and a text the sorted list of its n-grams with
their counts; each distinct text is processed once. Then every (answer, reference) pair is one
sorted look-up.

    BLEU   matches clipped by the reference, closest reference length (Papineni et al. 2002)
    CIDEr  tf-idf cosine of 1- to 4-grams, clipped, length penalty of sigma 6, times ten (CIDEr-D
           of Vedantam et al. 2015); document frequencies of the evaluated set

Dimension legend: n samples, E n-grams of all answers together, G distinct n-grams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lapse.metrics.statistics import Array

ORDERS = 4
SIGMA = 6.0
_TINY, _SMALL = 1e-15, 1e-9  # of the reference code: they decide what 0 / 0 is

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Grams:
    """The distinct n-grams of some texts, sorted by (text, n-gram).

    Attributes:
        text: [E] number of the text.
        gram: [E] number of the n-gram; all orders share one numbering.
        count: [E] how often the text holds it.
        order_of: [G] 0 for a word, 3 for four words.
        lengths: [T] words of each text.
    """

    text: Indices
    gram: Indices
    count: Indices
    order_of: Indices
    lengths: Indices


def count_grams(texts: Sequence[str]) -> Grams:
    """The n-grams of one to four words of texts that are tokenized and joined by blanks."""
    words: dict[str, int] = {}
    split = [[words.setdefault(word, len(words)) for word in text.split()] for text in texts]
    lengths = np.array([len(row) for row in split], dtype=np.int64)
    flat = np.array([word for row in split for word in row], dtype=np.int64)
    owner = np.repeat(np.arange(len(texts)), lengths)
    position = np.arange(len(flat)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    left = lengths[owner] - position if len(flat) else flat  # words to the end of the text
    parts, orders, total = [], [], 0
    current, at = flat, np.arange(len(flat))  # the n-gram that starts at each position of `at`
    before = np.zeros_like(flat)  # the same, for every position
    for order in range(ORDERS):
        if order:
            at = np.flatnonzero(left > order)
            longer = before[at] * len(words) + flat[at + order]
            _, current = np.unique(longer, return_inverse=True)
        size = int(current.max()) + 1 if len(current) else 0
        before[at] = current
        parts.append((owner[at], current + total))
        orders.append(np.full(size, order, dtype=np.int64))
        total += size
    text, gram = (np.concatenate(part) for part in zip(*parts, strict=True))
    keys, count = np.unique(text * max(total, 1) + gram, return_counts=True)
    text, gram = np.divmod(keys, max(total, 1))
    return Grams(text, gram, count.astype(np.int64), np.concatenate(orders), lengths)


@dataclass(frozen=True, slots=True)
class NGramScores:
    """The n-gram statistics of every sample.

    Attributes:
        bleu: [n, 10] words of the answer, words of the closest reference, n-grams of the answer
            (4), n-grams matched (4).
        cider: [n] the value of each sample.
    """

    bleu: Array
    cider: Array


def score_ngrams(answers: Sequence[str], references: Sequence[Sequence[str]]) -> NGramScores:
    """Score each answer against its references; all texts tokenized and joined by blanks.

    Args:
        answers: [n] texts.
        references: [n] one or more texts each.
    """
    rows = [(text, *others) for text, others in zip(answers, references, strict=True)]
    distinct = {row: number for number, row in enumerate(dict.fromkeys(rows))}
    texts = list(dict.fromkeys(text for row in distinct for text in row))
    number = {text: index for index, text in enumerate(texts)}
    grams = count_grams(texts)
    numbered = [[number[text] for text in row] for row in distinct]
    index_of = np.array([distinct[row] for row in rows], dtype=np.int64)
    repeats = np.bincount(index_of, minlength=len(numbered))
    pairs = _Pairs(grams, numbered)
    idf = np.log(float(len(rows))) - np.log(np.maximum(1.0, pairs.document_frequency(repeats)))
    return NGramScores(pairs.bleu()[index_of], pairs.cider(idf)[index_of])


class _Pairs:
    """Distinct rows of (answer, references), each reference a pair with the answer.

    The entries of a pair are the n-grams of its answer.
    """

    def __init__(self, grams: Grams, rows: list[list[int]]) -> None:
        self.grams = grams
        self.answers = np.array([row[0] for row in rows], dtype=np.int64)
        self.row = np.repeat(np.arange(len(rows)), [len(row) - 1 for row in rows])  # [p]
        self.references = np.array([text for row in rows for text in row[1:]], np.int64)  # [p]
        self.num_grams = max(len(grams.order_of), 1)
        self.pair, entry = self._entries(self.answers[self.row])  # [E]
        self.gram = grams.gram[entry]
        self.count = grams.count[entry]
        self.matched = self._count_in_reference()

    def _entries(self, texts: Indices) -> tuple[Indices, Indices]:
        """The n-grams of texts, one text after another: position of the text, index in `grams`."""
        starts = np.searchsorted(self.grams.text, np.arange(len(self.grams.lengths) + 1))
        size = np.diff(starts)[texts]
        position = np.repeat(np.arange(len(texts)), size)
        offset = np.cumsum(size) - size
        return position, np.repeat(starts[texts] - offset, size) + np.arange(len(position))

    def _count_in_reference(self) -> Indices:
        """[E] how often the pair's reference holds the answer's n-gram."""
        keys = self.grams.text * self.num_grams + self.grams.gram  # sorted
        pair_keys = self.references[self.pair] * self.num_grams + self.gram
        at = np.minimum(np.searchsorted(keys, pair_keys), max(len(keys) - 1, 0))
        if not len(keys):
            return np.zeros(0, dtype=np.int64)
        return np.where(keys[at] == pair_keys, self.grams.count[at], 0)

    def document_frequency(self, repeats: Indices) -> Array:
        """[G] how many samples have the n-gram in a reference; `repeats`: samples of each row."""
        pair, entry = self._entries(self.references)
        keys = np.unique(self.row[pair] * self.num_grams + self.grams.gram[entry])
        row, gram = np.divmod(keys, self.num_grams)
        frequency = np.bincount(gram, repeats[row], len(self.grams.order_of))
        return frequency.astype(np.float64)

    def bleu(self) -> Array:
        """[rows, 10] as in `NGramScores.bleu`."""
        num_rows, length = len(self.answers), self.grams.lengths[self.answers]
        clipped = np.minimum(self.count, self.matched)
        # The best reference of a row for each n-gram; the pairs of one row are adjacent.
        keys = self.row[self.pair] * self.num_grams + self.gram
        keys, where = np.unique(keys, return_inverse=True)
        best = np.zeros(len(keys), dtype=np.int64)
        np.maximum.at(best, where, clipped)
        row, gram = np.divmod(keys, self.num_grams)
        index = row * ORDERS + self.grams.order_of[gram]
        correct = np.bincount(index, best, num_rows * ORDERS).reshape(num_rows, ORDERS)
        guess = np.maximum(0, length[:, None] - np.arange(ORDERS))
        lengths = self.grams.lengths[self.references]
        # Closest length, the shorter of two that are as close: the smallest of (distance, length).
        ranked = np.lexsort((lengths, np.abs(lengths - length[self.row]), self.row))
        closest = lengths[ranked[np.searchsorted(self.row[ranked], np.arange(num_rows))]]
        return np.column_stack([length, closest, guess, correct]).astype(np.float64)

    def cider(self, idf: Array) -> Array:
        """[rows] ten times the mean over orders and references of the clipped cosine."""
        grams, orders = self.grams, self.grams.order_of
        weight = grams.count * idf[grams.gram]
        index = grams.text * ORDERS + orders[grams.gram]
        squares = np.bincount(index, weight**2, len(grams.lengths) * ORDERS)
        norm = np.sqrt(squares).reshape(-1, ORDERS)
        answer_weight = self.count * idf[self.gram]
        reference_weight = self.matched * idf[self.gram]
        products = np.minimum(answer_weight, reference_weight) * reference_weight
        index = self.pair * ORDERS + orders[self.gram]
        # Where no answer has a word of its reference, bincount returns integers.
        cosine = np.bincount(index, products, len(self.row) * ORDERS).astype(np.float64)
        cosine = cosine.reshape(-1, ORDERS)
        answer = self.answers[self.row]
        scale = norm[answer] * norm[self.references]
        cosine = np.divide(cosine, scale, out=cosine, where=scale != 0)
        # The reference code counts a text's length in pairs of words.
        pairs = np.maximum(0, grams.lengths - 1)
        gap = (pairs[answer] - pairs[self.references]).astype(np.float64)
        cosine *= np.exp(-(gap**2) / (2 * SIGMA**2))[:, None]
        per_row = np.bincount(self.row, weights=cosine.mean(axis=1), minlength=len(self.answers))
        return np.asarray(10.0 * per_row / np.bincount(self.row, minlength=len(self.answers)))


def bleu_of(sums: Array, order: int) -> Array:
    """BLEU-`order` from sums [..., 10] of `NGramScores.bleu`; [...]."""
    length, closest = sums[..., 0], sums[..., 1]
    guess, correct = sums[..., 2 : 2 + order], sums[..., 6 : 6 + order]
    product = np.prod((correct + _TINY) / (guess + _SMALL), axis=-1)
    relative = (length + _TINY) / (closest + _SMALL)
    # exp of at most 0: an empty answer's ratio is nearly 0 and its penalty underflows to 0.
    penalty = np.exp(np.minimum(0.0, 1.0 - 1.0 / relative))
    return np.asarray(product ** (1.0 / order) * penalty)
