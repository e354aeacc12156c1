"""The page of the demo: what a table shows of a score."""

from types import SimpleNamespace
from typing import cast

from lapse.core.types import Prediction, Score
from lapse.workflows.demo.page import DemoResult, plain_value, task_rows


def test_the_last_row_states_the_better_direction():
    scores = {"a": {"aref": {"Acc@0.5": Score("Acc@0.5", 0.5, value_range=(0.0, 1.0))}}}
    items = {"a": [Prediction("1", "aref", "x", ("y",))]}
    result = cast("DemoResult", SimpleNamespace(predictions=items, scores=scores))
    rows = task_rows(result, "aref", ("Acc@0.5", "mean IoU"))
    assert rows == (("a", "1", "0.500", "-"), ("better", "", "higher, 0 to 1", "-"))


def test_an_undefined_or_missing_score_is_a_dash():
    scores = {"recall": Score("recall", 0.25), "precision": Score("precision", float("nan"))}
    assert plain_value(scores, "recall") == "0.250"
    assert plain_value(scores, "precision") == plain_value(scores, "F1") == "-"
