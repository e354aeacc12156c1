"""METEOR 1.5 from its segment statistics: the score of one answer and of any set of answers.

Java's aligner returns 23 numbers for each answer (`lapse.metrics.java.Meteor`); their sums give
the corpus score, so that a resample of patients needs no Java. English parameters of the ranking
task with -norm. Source: Denkowski and Lavie 2014. Columns:

    0-3    words of the answer, words of the reference, function words of each
    4-19   for exact, stem, synonym, paraphrase: content words matched (answer, reference), then
           function words matched (answer, reference)
    20-22  chunks, words matched (answer, reference)
"""

from __future__ import annotations

import numpy as np

from lapse.metrics.statistics import Array

COLUMNS = 23
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
WEIGHTS = (1.0, 0.6, 0.8, 0.6)  # exact, stem, synonym, paraphrase


def meteor_of(sums: Array) -> Array:
    """METEOR of sums of segment statistics; 0 where nothing matched.

    Args:
        sums: [..., 23].

    Returns:
        [...] in [0, 1].
    """
    words, functions = sums[..., 0:2], sums[..., 2:4]
    length = DELTA * (words - functions) + (1 - DELTA) * functions
    stages = sums[..., 4:20].reshape(*sums.shape[:-1], 4, 2, 2)  # stage, content | function, text
    matched = DELTA * stages[..., 0, :] + (1 - DELTA) * stages[..., 1, :]
    weighted = np.sum(matched * np.asarray(WEIGHTS)[:, None], axis=-2)
    rate = np.divide(weighted, length, out=np.zeros_like(weighted), where=length > 0)
    precision, recall = rate[..., 0], rate[..., 1]
    under = ALPHA * precision + (1 - ALPHA) * recall
    mean = np.divide(precision * recall, under, out=np.zeros_like(under), where=under > 0)
    chunks, num_matched = sums[..., 20], sums[..., 21:23].mean(axis=-1)
    broken = np.divide(chunks, num_matched, out=np.zeros_like(num_matched), where=num_matched > 0)
    return np.asarray(mean * (1 - GAMMA * broken**BETA))


def without_perfect_chunks(rows: Array) -> Array:
    """The statistics [n, 23] that METEOR sums: an answer equal to its reference has no chunk."""
    stages = rows[:, 4:20].reshape(len(rows), 8, 2)
    is_equal = np.all(stages.sum(axis=1) == rows[:, 0:2], axis=1) & (rows[:, 20] == 1)
    result = rows.copy()
    result[is_equal, 20] = 0.0
    return result
