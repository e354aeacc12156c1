"""Calibration plots."""

from lapse.evaluation.html.plots import MAX_POINTS, reliability_plot, risk_plot
from lapse.metrics.calibration import Bin, RiskPoint


def test_reliability_has_an_interval_for_each_bin_and_a_diagonal():
    plot = reliability_plot({"beam": [Bin(0.2, 0.1, 5, 0.0, 0.3), Bin(0.8, 0.9, 5, 0.7, 1.0)]})
    diagonal, *lines = plot.lines
    assert diagonal.color is None and diagonal.points == ((0.0, 0.0), (1.0, 1.0))
    assert [line.points for line in lines] == [
        ((0.2, 0.0), (0.2, 0.3)),
        ((0.8, 0.7), (0.8, 1.0)),
        ((0.2, 0.1), (0.8, 0.9)),
    ]
    assert plot.dots[1].text == "stated 0.80, right 0.90 of 5"


def test_long_risk_curves_are_thinned_and_keep_their_ends():
    points = [RiskPoint(number / 9999, 0.5) for number in range(10_000)]
    (line,) = risk_plot({"beam": points}).lines
    assert len(line.points) <= MAX_POINTS + 1
    assert line.points[0] == (0.0, 0.5) and line.points[-1] == (1.0, 0.5)
