"""The page of the demo: what a table shows of a score."""

from lapse.core.types import Score
from lapse.workflows.demo.page import plain_value


def test_an_undefined_or_missing_score_is_a_dash():
    scores = {"recall": Score("recall", 0.25), "precision": Score("precision", float("nan"))}
    assert plain_value(scores, "recall") == "0.250"
    assert plain_value(scores, "precision") == plain_value(scores, "F1") == "-"
