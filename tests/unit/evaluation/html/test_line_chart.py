"""Axes and positions of learning curves."""

from hypothesis import given
from hypothesis import strategies as st

from lapse.evaluation.html.line_chart import Chart, Curve, line_plot, ticks


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6),
    st.sampled_from([1e-6, 0.04, 1.0]),
)
def test_axis_holds_every_value_with_different_labels(values, min_range):
    levels = ticks(values, min_range)
    assert 2 <= len(levels) <= 8
    tolerance = 1e-8 * (levels[-1][0] - levels[0][0])  # not visible on a screen
    assert levels[0][0] <= min(0.0, *values) + tolerance
    assert levels[-1][0] >= max(min_range, *values) - tolerance
    labels = [label for _, label in levels]
    assert len(set(labels)) == len(labels)
    assert all(abs(float(label) - value) < 1e-6 + 1e-9 * abs(value) for value, label in levels)


def test_points_are_placed_on_the_axes():
    plot = line_plot(Chart("Loss", (Curve("cap", ((0, 8.0), (10, 0.0)), True), Curve("b", ()))))
    assert [label for _, label in plot.y_ticks] == ["0", "2", "4", "6", "8"]
    assert (plot.x(0), plot.y(8.0)) == (plot.left, plot.top)
    assert (plot.x(10), plot.y(0)) == (plot.width - plot.right, plot.height - plot.bottom)
    assert len(plot.dots) == 2 and plot.names == ("cap", "b")


def test_a_chart_without_points_is_not_drawn():
    assert line_plot(Chart("Loss", (Curve("cap", ()),))) is None
