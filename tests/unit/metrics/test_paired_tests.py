"""Intervals hold what they promise for patients, and only for patients; tests and corrections."""

import random
import time

import numpy as np
import pytest

from lapse.core.grammar import FINDINGS, Change, render
from lapse.core.types import Prediction, Score, Statistics
from lapse.metrics.bootstrap import bootstrap_draws, bootstrap_interval, with_intervals
from lapse.metrics.changes import Changes
from lapse.metrics.ngrams import bleu_of
from lapse.metrics.paired_tests import Difference, compare, corrected
from lapse.metrics.statistics import mean_score, pooled_scores

REPEATS, PATIENTS, ROWS = 200, 60, 5


def covered(rows_as_patients: bool) -> float:
    """How often the 95% interval of patient-clustered data holds the true mean, 0."""
    generator = np.random.default_rng(3)
    hits = 0
    for _ in range(REPEATS):
        values = generator.normal(size=(PATIENTS, 1)) + generator.normal(size=(PATIENTS, ROWS))
        names = [str(p) for p in range(PATIENTS) for _ in range(ROWS)]
        if rows_as_patients:
            names = [str(row) for row in range(len(names))]
        low, high = bootstrap_interval(values.ravel().tolist(), names, resamples=200)
        hits += low <= 0.0 <= high
    return hits / REPEATS


def test_the_interval_covers_the_truth_in_95_percent():
    assert 0.915 <= covered(rows_as_patients=False) <= 0.98


def test_the_same_interval_over_rows_fails():
    assert covered(rows_as_patients=True) < 0.85


def test_a_draw_of_sums_is_the_score_of_the_drawn_samples():
    generator = np.random.default_rng(0)
    rows = generator.integers(1, 9, size=(40, 10)).astype(float)
    patients = [str(index % 8) for index in range(40)]
    drawn = bootstrap_draws(
        {"b": Statistics(rows, lambda sums: bleu_of(sums, 4))}, patients, resamples=20, seed=5
    )["b"]
    chosen = np.random.default_rng(5).integers(0, 8, size=(20, 8), dtype=np.int32)
    for value, group in zip(drawn, chosen, strict=True):
        longhand = np.concatenate([rows[[p == str(g) for p in patients]] for g in group])
        assert value == pytest.approx(float(bleu_of(longhand.sum(axis=0), 4)))


def pair_of(values, others):
    return {"s": mean_score("s", values, {})}, {"s": mean_score("s", others, {})}


def test_permutation_p_is_small_for_a_real_difference_and_uniform_without():
    generator = np.random.default_rng(1)
    patients = [str(index // 2) for index in range(200)]
    ours = generator.normal(size=200)
    (row,) = compare(*pair_of(ours, ours + 0.5 + 0.1 * generator.normal(size=200)), patients)
    assert row.p == pytest.approx(1 / 2001) and 0.4 < row.low < row.value < row.high < 0.6
    assert row.effect > 3
    (same,) = compare(*pair_of(ours, ours), patients)
    assert (same.p, same.value, same.effect) == (1.0, 0.0, None)
    found = []
    for _ in range(100):
        one, two = generator.normal(size=(2, 60))
        (row,) = compare(*pair_of(one, two), patients[:60], resamples=100)
        found.append(row.p)
    assert 0 <= sum(p <= 0.05 for p in found) <= 12 and 0.35 < np.mean(found) < 0.65


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


def test_10_000_resamples_of_16_000_rows_take_less_than_30_seconds_of_one_core():
    """With the scores of every finding. `pytest -s` prints the figure of evaluation.md."""
    draw = random.Random(0)
    texts = [
        render({Change(f, draw.choice(("added", "missing"))) for f in draw.sample(FINDINGS, n % 4)})
        for n in range(300)
    ]
    rows = [
        Prediction(str(n), "diff_vqa", draw.choice(texts), (draw.choice(texts),), f"p{2 * n // 5}")
        for n in range(16_000)
    ]
    lengths = np.random.default_rng(0).integers(1, 9, size=(len(rows), 10)).astype(float)
    scores = Changes()(rows)
    scores["BLEU-4"] = Score("BLEU-4", 0.5, statistics=Statistics(lengths, lambda s: bleu_of(s, 4)))
    began = time.process_time()
    found = with_intervals(scores, [item.patient for item in rows], resamples=10_000)
    seconds = time.process_time() - began
    print(f"{len(found)} scores, 6,400 patients: {seconds:.1f} s of process CPU time")
    assert seconds < 30
    assert sum("of" in score.details for score in found.values()) >= 3 * len(FINDINGS)
    assert all(score.low is not None for score in found.values())
    assert found["BLEU-4"].details["interval"] == "95%, 10000 resamples of 6400 patients"
