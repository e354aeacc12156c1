"""The page of the demo: what a table shows of scores."""

from types import SimpleNamespace
from typing import cast

from lapse.core.types import Prediction, Score
from lapse.workflows.demo.page import DemoResult, task_rows


def test_scores_have_intervals_and_the_last_row_states_the_better_direction():
    scores = {"a": {"aref": {"Acc@0.5": Score("Acc@0.5", 0.5, 0.25, 0.75, value_range=(0.0, 1.0))}}}
    items = {"a": [Prediction("1", "aref", "x", ("y",))]}
    result = cast("DemoResult", SimpleNamespace(predictions=items, scores=scores))
    rows = task_rows(result, "aref", ("Acc@0.5", "mean IoU"))
    assert rows == (("a", "1", "0.500 [0.250, 0.750]", "-"), ("better", "", "higher, 0 to 1", "-"))
