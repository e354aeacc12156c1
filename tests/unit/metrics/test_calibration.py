"""Calibration against brute force, on probabilities that are true and on ones that are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lapse.metrics.calibration import calibration_error, reliability, risk_area, risk_coverage
from lapse.metrics.confidence import Event

EVENTS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans()),
    min_size=1,
    max_size=30,
)


def events(rows) -> list[Event]:
    return [Event(said, right, f"p{place // 3}") for place, (said, right) in enumerate(rows)]


def simulated(num_patients: int, *, power: float, seed: int = 0) -> list[Event]:
    """Events whose true chance is said ** power: true probabilities at power 1."""
    generator = np.random.default_rng(seed)
    found = []
    for patient in range(num_patients):
        for said in generator.uniform(0, 1, 4):
            found.append(Event(float(said), bool(generator.random() < said**power), f"p{patient}"))
    return found


@given(EVENTS, st.randoms())
def test_no_number_depends_on_the_order(rows, random):
    one = events(rows)
    two = list(one)
    random.shuffle(two)
    options = {"resamples": 2}
    assert calibration_error(one, **options).value == pytest.approx(
        calibration_error(two, **options).value
    )
    assert risk_area(one, **options).value == pytest.approx(risk_area(two, **options).value)
    assert risk_coverage(one) == pytest.approx(risk_coverage(two))


@given(EVENTS)
def test_area_is_the_mean_risk_over_every_order_of_ties(rows):
    """Brute force: among equal probabilities the expected error of each is their mean error."""
    found = events(rows)
    order = sorted(found, key=lambda event: -event.probability)
    wrong, risks = 0.0, []
    for kept, event in enumerate(order, start=1):
        ties = [other for other in found if other.probability == event.probability]
        wrong += sum(not other.is_right for other in ties) / len(ties)
        risks.append(wrong / kept)
    assert risk_area(found, resamples=2).value == pytest.approx(float(np.mean(risks)))


def test_error_equals_the_sum_written_out():
    rows = [(0.1, False)] * 6 + [(0.1, True)] * 4 + [(0.9, True)] * 9 + [(0.9, False)]
    score = calibration_error(events(rows), num_bins=2, resamples=10)
    assert score.value == pytest.approx(0.5 * abs(0.4 - 0.1) + 0.5 * abs(0.9 - 0.9))
    bins = reliability(events(rows), num_bins=2, resamples=10)
    assert [(one.said, one.right, one.count) for one in bins] == [
        (pytest.approx(0.1), 0.4, 10),
        (pytest.approx(0.9), 0.9, 10),
    ]
    assert all(one.low <= one.right <= one.high for one in bins)


def test_true_probabilities_stand_at_the_floor_and_boasting_does_not():
    honest = calibration_error(simulated(300, power=1.0), resamples=200)
    boasting = calibration_error(simulated(300, power=3.0), resamples=200)
    assert honest.value < 1.5 * float(honest.details["floor"])
    assert boasting.low is not None and boasting.low > 3 * float(boasting.details["floor"])
    assert honest.high is not None and honest.high < boasting.low


def test_area_knows_a_good_order_from_a_bad_one():
    found = simulated(200, power=1.0)
    good = risk_area(found, resamples=100)
    bad = risk_area([Event(1 - e.probability, e.is_right, e.patient) for e in found], resamples=100)
    rate = float(good.details["error rate"])
    assert float(good.details["best possible"]) < good.value < rate < bad.value
    same = risk_area([Event(0.5, e.is_right, e.patient) for e in found], resamples=2)
    assert same.value == pytest.approx(rate, abs=1e-4)
    curve = risk_coverage(found)
    assert curve[-1].coverage == 1.0 and curve[-1].risk == pytest.approx(rate, abs=1e-4)


def test_intervals_need_two_known_patients():
    rows = [Event(0.5, True, "p"), Event(0.6, False, "p")]
    assert calibration_error(rows).low is None
    assert calibration_error([Event(0.5, True, ""), Event(0.6, False, "p")]).low is None


@pytest.mark.parametrize("function", [calibration_error, reliability, risk_coverage, risk_area])
def test_wrong_events_are_refused(function):
    with pytest.raises(ValueError, match="at least one event"):
        function([])
    with pytest.raises(ValueError, match=r"probability 1.5 lies outside \[0, 1\]"):
        function([Event(1.5, True, "p")])
