"""BLEU and CIDEr of all samples at once, equal to pycocoevalcap's to rounding, many times faster.

Words become integers, n-grams pairs of integers, and a text the sorted list of its n-grams with
their counts; each distinct text is cut up once, however often it was said. Then every (answer,
reference) pair is one sorted look-up.

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

ORDERS = 4
SIGMA = 6.0
_TINY, _SMALL = 1e-15, 1e-9  # of the reference code: they decide what 0 / 0 is

Array = NDArray[np.float64]
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

    def keys(self) -> Indices:
        """[E] one sorted number for each (text, n-gram)."""
        return self.text * len(self.order_of) + self.gram


def count_grams(texts: Sequence[str]) -> Grams:
    """Cut texts, tokenised and joined by blanks, into their n-grams of one to four words."""
    words: dict[str, int] = {}
    split = [[words.setdefault(word, len(words)) for word in text.split()] for text in texts]
    lengths = np.array([len(row) for row in split], dtype=np.int64)
    flat = np.array([word for row in split for word in row], dtype=np.int64)
    owner = np.repeat(np.arange(len(texts)), lengths)
    place = np.arange(len(flat)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    left = lengths[owner] - place if len(flat) else flat  # words from here to the end of the text
    found, orders, total = [], [], 0
    current, at = flat, np.arange(len(flat))  # the n-gram that starts at each place of `at`
    before = np.zeros_like(flat)  # the same, for every place
    for order in range(ORDERS):
        if order:
            at = np.flatnonzero(left > order)
            longer = before[at] * len(words) + flat[at + order]
            _, current = np.unique(longer, return_inverse=True)
        size = int(current.max()) + 1 if len(current) else 0
        before[at] = current
        found.append((owner[at], current + total))
        orders.append(np.full(size, order, dtype=np.int64))
        total += size
    text, gram = (np.concatenate(parts) for parts in zip(*found, strict=True))
    keys, count = np.unique(text * max(total, 1) + gram, return_counts=True)
    return Grams(
        keys // max(total, 1),
        keys % max(total, 1),
        count.astype(np.int64),
        np.concatenate(orders),
        lengths,
    )


@dataclass(frozen=True, slots=True)
class NGramScores:
    """What BLEU and CIDEr need of every sample.

    Attributes:
        bleu: [n, 10] words said, words of the closest reference, n-grams said (4), matched (4).
        cider: [n] the value of each sample.
    """

    bleu: Array
    cider: Array


def score_ngrams(said: Sequence[str], true: Sequence[Sequence[str]]) -> NGramScores:
    """Score each answer against its references; all texts tokenised and joined by blanks.

    Args:
        said: [n] answers.
        true: [n] one or more references each.
    """
    rows = [(text, *references) for text, references in zip(said, true, strict=True)]
    distinct = {row: number for number, row in enumerate(dict.fromkeys(rows))}
    texts = list(dict.fromkeys(text for row in distinct for text in row))
    number = {text: place for place, text in enumerate(texts)}
    grams = count_grams(texts)
    wide = [[number[text] for text in row] for row in distinct]
    place_of = np.array([distinct[row] for row in rows], dtype=np.int64)
    often = np.bincount(place_of, minlength=len(wide))
    pairs = _Pairs(grams, wide)
    idf = np.log(float(len(rows))) - np.log(np.maximum(1.0, pairs.document_frequency(often)))
    return NGramScores(pairs.bleu()[place_of], pairs.cider(idf)[place_of])


class _Pairs:
    """Distinct rows of (answer, references), each reference a pair with the answer.

    The entries of a pair are the n-grams of its answer.
    """

    def __init__(self, grams: Grams, rows: list[list[int]]) -> None:
        self.grams = grams
        self.said = np.array([row[0] for row in rows], dtype=np.int64)
        self.row = np.repeat(np.arange(len(rows)), [len(row) - 1 for row in rows])  # [p]
        self.true = np.array([text for row in rows for text in row[1:]], dtype=np.int64)  # [p]
        starts = np.searchsorted(grams.text, np.arange(len(grams.lengths) + 1))
        self.size = np.diff(starts)  # n-grams of each text
        answer = self.said[self.row]
        self.pair = np.repeat(np.arange(len(self.row)), self.size[answer])  # [E]
        offset = np.cumsum(self.size[answer]) - self.size[answer]
        self.entry = np.repeat(starts[answer] - offset, self.size[answer]) + np.arange(
            len(self.pair)
        )  # [E] where the n-gram stands in `grams`
        self.gram = grams.gram[self.entry]
        self.count = grams.count[self.entry]
        self.matched = self._count_in_reference()

    def _count_in_reference(self) -> Indices:
        """[E] how often the pair's reference holds the answer's n-gram."""
        keys = self.grams.keys()
        wanted = self.true[self.pair] * len(self.grams.order_of) + self.gram
        at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        if not len(keys):
            return np.zeros(0, dtype=np.int64)
        return np.where(keys[at] == wanted, self.grams.count[at], 0)

    def document_frequency(self, often: Indices) -> Array:
        """[G] how many samples have the n-gram in a reference; `often`: samples of each row."""
        starts = np.searchsorted(self.grams.text, np.arange(len(self.grams.lengths) + 1))
        size = self.size[self.true]
        offset = np.cumsum(size) - size
        entry = np.repeat(starts[self.true] - offset, size) + np.arange(int(size.sum()))
        row = np.repeat(self.row, size)
        total = len(self.grams.order_of)
        keys = np.unique(row * max(total, 1) + self.grams.gram[entry])
        frequency = np.bincount(
            keys % max(total, 1), weights=often[keys // max(total, 1)], minlength=total
        )
        return frequency.astype(np.float64)

    def bleu(self) -> Array:
        """[rows, 10] as `NGramScores.bleu` says."""
        num_rows, said = len(self.said), self.grams.lengths[self.said]
        clipped = np.minimum(self.count, self.matched)
        # A row's best reference for each n-gram: pairs of one row follow each other.
        row = self.row[self.pair]
        keys, where = np.unique(
            row * max(len(self.grams.order_of), 1) + self.gram, return_inverse=True
        )
        best = np.zeros(len(keys), dtype=np.int64)
        np.maximum.at(best, where, clipped)
        order = self.grams.order_of[keys % max(len(self.grams.order_of), 1)]
        row_of = keys // max(len(self.grams.order_of), 1)
        correct = np.bincount(row_of * ORDERS + order, weights=best, minlength=num_rows * ORDERS)
        guess = np.maximum(0, said[:, None] - np.arange(ORDERS))
        closest = np.full(num_rows, -1, dtype=np.int64)
        wide = self.grams.lengths[self.true]
        # Closest length, the shorter of two that are as close: the smallest of (distance, length).
        ranked = np.lexsort((wide, np.abs(wide - said[self.row]), self.row))
        firsts = ranked[np.searchsorted(self.row[ranked], np.arange(num_rows))]
        closest[:] = wide[firsts]
        return np.column_stack([said, closest, guess, correct.reshape(num_rows, ORDERS)]).astype(
            np.float64
        )

    def cider(self, idf: Array) -> Array:
        """[rows] ten times the mean over orders and references of the clipped cosine."""
        grams, orders = self.grams, self.grams.order_of
        weight = grams.count * idf[grams.gram]
        norm = np.sqrt(
            np.bincount(
                grams.text * ORDERS + orders[grams.gram],
                weights=weight**2,
                minlength=len(grams.lengths) * ORDERS,
            )
        ).reshape(-1, ORDERS)
        ours, theirs = self.count * idf[self.gram], self.matched * idf[self.gram]
        # Where no answer shares a word with its reference, bincount counts in whole numbers.
        cosine = (
            np.bincount(
                self.pair * ORDERS + orders[self.gram],
                weights=np.minimum(ours, theirs) * theirs,
                minlength=len(self.row) * ORDERS,
            )
            .reshape(-1, ORDERS)
            .astype(np.float64)
        )
        answer = self.said[self.row]
        scale = norm[answer] * norm[self.true]
        cosine = np.divide(cosine, scale, out=cosine, where=scale != 0)
        # The reference code counts a text's length in pairs of words.
        pairs = np.maximum(0, grams.lengths - 1)
        gap = (pairs[answer] - pairs[self.true]).astype(np.float64)
        cosine *= np.exp(-(gap**2) / (2 * SIGMA**2))[:, None]
        per_row = np.bincount(self.row, weights=cosine.mean(axis=1), minlength=len(self.said))
        found: Array = 10.0 * per_row / np.bincount(self.row, minlength=len(self.said))
        return found


def bleu_of(sums: Array, order: int) -> Array:
    """BLEU-`order` from sums [..., 10] as `NGramScores.bleu` has them; [...]."""
    said, true = sums[..., 0], sums[..., 1]
    guess, correct = sums[..., 2 : 2 + order], sums[..., 6 : 6 + order]
    product = np.prod((correct + _TINY) / (guess + _SMALL), axis=-1)
    long = (said + _TINY) / (true + _SMALL)
    # exp of at most 0: an empty answer's ratio is nearly 0 and its penalty underflows to 0.
    penalty = np.exp(np.minimum(0.0, 1.0 - 1.0 / long))
    found: Array = product ** (1.0 / order) * penalty
    return found
