"""Paired permutation tests of two systems, and the correction of their p values."""

import numpy as np
import pytest

from lapse.metrics.paired_tests import Difference, compare, corrected
from lapse.metrics.statistics import mean_score, pooled_scores


def pair_of(values, others):
    return {"s": mean_score("s", values, {})}, {"s": mean_score("s", others, {})}


def test_permutation_p_is_small_for_a_real_difference_and_uniform_without():
    generator = np.random.default_rng(1)
    patients = [str(index // 2) for index in range(200)]
    first = generator.normal(size=200)
    (row,) = compare(*pair_of(first, first + 0.5 + 0.1 * generator.normal(size=200)), patients)
    assert row.p == pytest.approx(1 / 2001) and 0.4 < row.low < row.value < row.high < 0.6
    assert row.effect > 3
    (same,) = compare(*pair_of(first, first), patients)
    assert (same.p, same.value, same.effect) == (1.0, 0.0, None)
    p_values = []
    for _ in range(100):
        one, two = generator.normal(size=(2, 60))
        (row,) = compare(*pair_of(one, two), patients[:60], resamples=100)
        p_values.append(row.p)
    assert 0 <= sum(p <= 0.05 for p in p_values) <= 12 and 0.35 < np.mean(p_values) < 0.65


def test_pooled_scores_are_tested_too_and_patients_must_be_known():
    counts = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]] * 20)
    other = counts.copy()
    other[:, 0] = 1.0
    one, two = (pooled_scores("x", rows, 0, {}) for rows in (counts, other))
    names = [str(index) for index in range(40)]
    by_name = {row.name: row for row in compare(one, two, names)}
    assert by_name["x F1"].value == pytest.approx(0.5) and by_name["x F1"].p < 0.01
    with pytest.raises(ValueError, match="1 samples have none"):
        compare(one, two, ["", *names[1:]])


def test_holm():
    rows = [Difference(str(p), 0, 0, 0, 0, p, None) for p in (0.04, 0.01, 0.03, 0.9)]
    assert [row.p_holm for row in corrected(rows)] == pytest.approx([0.09, 0.04, 0.09, 0.9])
