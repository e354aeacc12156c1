"""Calibration against brute force, with calibrated and with wrong probabilities."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lapse.metrics.calibration import (
    calibration_diagram,
    calibration_error,
    risk_area,
    risk_coverage,
)
from lapse.metrics.confidence import Event

EVENTS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans()),
    min_size=1,
    max_size=30,
)


def events(rows) -> list[Event]:
    return [Event(probability, right, f"p{n // 3}") for n, (probability, right) in enumerate(rows)]


def simulated(num_patients: int, *, power: float, seed: int = 0) -> list[Event]:
    """Events with chance probability ** power: calibrated at power 1."""
    generator = np.random.default_rng(seed)
    return [
        Event(float(value), bool(generator.random() < value**power), f"p{patient}")
        for patient in range(num_patients)
        for value in generator.uniform(0, 1, 4)
    ]


@given(EVENTS, st.randoms())
def test_no_number_depends_on_the_order(rows, random):
    first = events(rows)
    second = list(first)
    random.shuffle(second)
    options = {"resamples": 2}
    assert calibration_error(first, **options).value == pytest.approx(
        calibration_error(second, **options).value
    )
    assert risk_area(first, **options).value == pytest.approx(risk_area(second, **options).value)
    assert risk_coverage(first) == pytest.approx(risk_coverage(second))


@given(EVENTS)
def test_area_is_the_mean_risk_over_every_order_of_ties(rows):
    """Brute force: among equal probabilities the expected error of each is their mean error."""
    simulated_events = events(rows)
    order = sorted(simulated_events, key=lambda event: -event.probability)
    wrong, risks = 0.0, []
    for kept, event in enumerate(order, start=1):
        ties = [other for other in simulated_events if other.probability == event.probability]
        wrong += sum(not other.is_right for other in ties) / len(ties)
        risks.append(wrong / kept)
    assert risk_area(simulated_events, resamples=2).value == pytest.approx(float(np.mean(risks)))


def test_error_equals_the_explicit_sum():
    rows = [(0.1, False)] * 6 + [(0.1, True)] * 4 + [(0.9, True)] * 9 + [(0.9, False)]
    score = calibration_error(events(rows), num_bins=2, resamples=10)
    assert score.value == pytest.approx(0.5 * abs(0.4 - 0.1) + 0.5 * abs(0.9 - 0.9))
    bins = calibration_diagram(events(rows), num_bins=2, resamples=10)
    assert [(item.probability, item.accuracy, item.count) for item in bins] == [
        (pytest.approx(0.1), 0.4, 10),
        (pytest.approx(0.9), 0.9, 10),
    ]
    assert all(item.low <= item.accuracy <= item.high for item in bins)


def test_calibrated_probabilities_are_at_the_floor_and_overconfident_ones_above():
    calibrated = calibration_error(simulated(300, power=1.0), resamples=200)
    overconfident = calibration_error(simulated(300, power=3.0), resamples=200)
    assert calibrated.value < 1.5 * float(calibrated.details["floor"])
    assert overconfident.low is not None and overconfident.low > 3 * float(
        overconfident.details["floor"]
    )
    assert calibrated.high is not None and calibrated.high < overconfident.low


def test_area_of_a_good_a_bad_and_no_order():
    simulated_events = simulated(200, power=1.0)
    good = risk_area(simulated_events, resamples=100)
    inverted = [Event(1 - e.probability, e.is_right, e.patient) for e in simulated_events]
    bad = risk_area(inverted, resamples=100)
    rate = float(good.details["error rate"])
    assert float(good.details["best possible"]) < good.value < rate < bad.value
    same = risk_area([Event(0.5, e.is_right, e.patient) for e in simulated_events], resamples=2)
    assert same.value == pytest.approx(rate, abs=1e-4)
    curve = risk_coverage(simulated_events)
    assert curve[-1].coverage == 1.0 and curve[-1].risk == pytest.approx(rate, abs=1e-4)


def test_intervals_need_two_known_patients():
    rows = [Event(0.5, True, "p"), Event(0.6, False, "p")]
    assert calibration_error(rows).low is None
    assert calibration_error([Event(0.5, True, ""), Event(0.6, False, "p")]).low is None


@pytest.mark.parametrize(
    "function", [calibration_error, calibration_diagram, risk_coverage, risk_area]
)
def test_invalid_events_are_refused(function):
    with pytest.raises(ValueError, match="at least one event"):
        function([])
    with pytest.raises(ValueError, match=r"probability 1.5 is outside \[0, 1\]"):
        function([Event(1.5, True, "p")])


def test_the_interval_of_the_calibration_error_contains_it():
    generator = np.random.default_rng(0)
    for num_events in (12, 200):
        probabilities = generator.uniform(size=num_events)
        events = [
            Event(float(p), bool(generator.random() < p), f"p{number}")
            for number, p in enumerate(probabilities)
        ]
        score = calibration_error(events, resamples=200)
        assert 0.0 <= score.low <= score.value <= score.high
    nameless = calibration_error([replace(event, patient="") for event in events])
    assert nameless.low is None and nameless.details["interval"].startswith("none: ")
