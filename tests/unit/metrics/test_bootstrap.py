"""Intervals cover the true value when whole patients are drawn, and only then."""

import math
import random

import numpy as np
import pytest

from lapse.core.types import Score, Statistics
from lapse.metrics.bootstrap import PatientSums, bootstrap_draws, with_intervals
from lapse.metrics.ngrams import bleu_of
from lapse.metrics.statistics import mean_score, ratio

REPEATS, PATIENTS, ROWS = 200, 60, 5


def interval(values, patients, resamples=2000):
    scores = {"mean": mean_score("mean", values, {})}
    score = with_intervals(scores, patients, resamples=resamples)["mean"]
    return score.low, score.high


def coverage(rows_as_patients: bool) -> float:
    """How often the 95% interval of patient-clustered data contains the true mean, 0."""
    generator = np.random.default_rng(3)
    hits = 0
    for _ in range(REPEATS):
        values = generator.normal(size=(PATIENTS, 1)) + generator.normal(size=(PATIENTS, ROWS))
        names = [str(p) for p in range(PATIENTS) for _ in range(ROWS)]
        if rows_as_patients:
            names = [str(row) for row in range(len(names))]
        low, high = interval(values.ravel().tolist(), names, resamples=200)
        hits += low <= 0.0 <= high
    return hits / REPEATS


def test_the_interval_covers_the_mean_in_95_percent():
    assert 0.915 <= coverage(rows_as_patients=False) <= 0.98


def test_an_interval_that_draws_samples_is_too_narrow():
    assert coverage(rows_as_patients=True) < 0.85


def test_a_draw_of_sums_is_the_score_of_the_drawn_samples():
    generator = np.random.default_rng(0)
    rows = generator.integers(1, 9, size=(40, 10)).astype(float)
    patients = [str(index % 8) for index in range(40)]
    drawn = bootstrap_draws(
        {"b": Statistics(rows, lambda sums: bleu_of(sums, 4))}, patients, resamples=20, seed=5
    )["b"]
    chosen = np.random.default_rng(5).integers(0, 8, size=(20, 8), dtype=np.int32)
    for value, group in zip(drawn, chosen, strict=True):
        samples = np.concatenate([rows[[p == str(g) for p in patients]] for g in group])
        assert value == pytest.approx(float(bleu_of(samples.sum(axis=0), 4)))


def test_no_interval_without_two_known_patients():
    score = mean_score("s", [0.0, 1.0], {})

    def score_of(patients):
        return with_intervals({"s": score}, patients)["s"]

    assert score_of(["p", "p"]).low is None
    assert score_of(["p", "p"]).details["interval"] == "none: one patient only"
    assert score_of(["p", ""]).details["interval"] == "none: the patient of 1 samples is unknown"
    assert score_of(["p", "q"]).low == 0.0


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({}, "none: undefined, 0 / 0"),
        ({"withheld": "3 of 4 answers unread"}, "none: withheld, 3 of"),
    ],
)
def test_a_score_without_a_value_has_a_reason_for_no_interval(details, reason):
    score = Score("F1", np.nan, details=details)
    assert with_intervals({"F1": score}, ["p", "q"])["F1"].details["interval"].startswith(reason)


def test_the_interval_of_independent_values_is_the_textbook_one():
    generator = random.Random(0)
    values = [float(generator.random() < 0.3) for _ in range(800)]
    mean = sum(values) / len(values)
    margin = 1.96 * math.sqrt(mean * (1 - mean) / len(values))
    low, high = interval(values, [str(index) for index in range(800)], resamples=4000)
    assert low == pytest.approx(mean - margin, abs=0.1 * margin)
    assert high == pytest.approx(mean + margin, abs=0.1 * margin)


def test_whole_patients_are_drawn():
    values = [0.0, 1.0] * 50
    together = [str(index // 10) for index in range(100)]  # each patient holds five of both
    assert interval(values, together) == (0.5, 0.5)
    apart = [str(index % 2 * 5 + index // 20) for index in range(100)]
    low, high = interval(values, apart)
    assert high - low > 0.4
    assert interval(values, apart) == (low, high)
    with pytest.raises(ValueError, match="3 rows of statistics and there are 2 samples"):
        interval([0.0, 1.0, 1.0], ["p", "q"])


def test_a_patient_counts_by_the_number_of_samples():
    patients = [name for index in range(50) for name in [f"many{index}"] * 9 + [f"one{index}"]]
    values = [float(name.startswith("many")) for name in patients]
    low, high = interval(values, patients)
    assert 0.8 < low < 0.9 < high < 0.95


def test_small_counts_of_one_byte_are_summed_without_overflow():
    rows = np.ones((300, 2), dtype=np.uint8)
    statistics = {"x": Statistics(rows, ratio)}
    sums = PatientSums(statistics, ["a"] * 299 + ["b"])
    assert sums.block(0, 2).tolist() == [[299.0, 299.0], [1.0, 1.0]]
    statistics = {"x": Statistics(np.full((300, 2), 255, dtype=np.uint8), ratio)}
    assert PatientSums(statistics, ["a"] * 300).block(0, 1).tolist() == [[76500.0, 76500.0]]


def test_blocks_of_patients_change_nothing(monkeypatch):
    chance = np.random.default_rng(4)
    rows, counts = chance.random((500, 3)), chance.integers(0, 9, (500, 4), dtype=np.uint8)
    statistics = {
        "x": Statistics(rows, lambda sums: sums[..., 0] / sums[..., 1]),
        "y": Statistics(counts, lambda sums: sums[..., 2] / sums[..., 3]),
    }
    patients = [str(number) for number in chance.integers(0, 90, 500)]
    draws = bootstrap_draws(statistics, patients, resamples=300, seed=1)
    monkeypatch.setattr("lapse.metrics.bootstrap.BLOCK", 7)
    blocks = bootstrap_draws(statistics, patients, resamples=300, seed=1)
    assert np.array_equal(draws["y"], blocks["y"])  # sums of integers are exact
    assert np.allclose(draws["x"], blocks["x"], rtol=1e-13)
