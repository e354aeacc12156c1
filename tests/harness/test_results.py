"""Cells of a table: means over seeds, the paired test, and Holm's correction."""

from itertools import product

import numpy as np
import pytest

from lapse.harness.page import as_csv, below_the_floor, show
from lapse.harness.results import RowResult, cells, holm, paired_p
from lapse.tables import RowSpec, TableSpec
from lapse.types import Score

PATIENTS = ("a", "a", "b", "c", "d", "e", "f", "g")


def row(key, *seeds, reason=""):
    spec = RowSpec(key=key, name=key.upper(), paper=("p",), tiny=("t",), printed={})
    scores = tuple(
        {"diff_vqa/x": Score("x", sum(values) / len(values), 0.1, 0.9, tuple(values))}
        for values in seeds
    )
    return RowResult(spec, scores, {"diff_vqa": PATIENTS}, reason=reason)


def test_paired_p_against_all_exchanges():
    difference = np.array([0.3, 0.1, 0.2, -0.1, 0.4, 0.05, 0.2, 0.3])
    sums = [0.4, 0.2, -0.1, 0.4, 0.05, 0.2, 0.3]  # by patient
    every = [abs(np.dot(signs, sums)) for signs in product((-1, 1), repeat=len(sums))]
    exact = np.mean(np.array(every) >= abs(sum(sums)) - 1e-12)
    assert paired_p(difference, PATIENTS) == pytest.approx(exact, abs=0.02)
    assert paired_p(np.zeros(8), PATIENTS) == 1.0


def test_a_row_equal_to_ours_has_p_1_and_a_better_one_less():
    ours = row("ours", [0.1, 0.2, 0.3, 0.1, 0.2, 0.1, 0.0, 0.2])
    same, better = row("same", ours.scores[0]["diff_vqa/x"].per_sample), row("better", [0.9] * 8)
    found = cells([ours, same, better], ["diff_vqa/x"], "ours")
    assert found["ours"]["diff_vqa/x"].p is None
    assert found["same"]["diff_vqa/x"].p == 1.0
    assert found["better"]["diff_vqa/x"].p < 0.05


def test_seeds_are_averaged_and_their_range_is_kept():
    cell = cells([row("ours", [0.0] * 8, [1.0] * 8)], ["diff_vqa/x"], "ours")["ours"]["diff_vqa/x"]
    assert (cell.value, cell.low_seed, cell.high_seed) == (0.5, 0.0, 1.0)
    assert (cell.low, cell.high) == (0.1, 0.9)
    assert show(cell) == "[0.100, 0.900] {0.000 to 1.000}"
    assert show(None) == "-"


def test_rows_below_the_floor_are_named():
    rows = [row("ours", [0.5] * 8), row("low", [0.1] * 8), row("random", [0.2] * 8)]
    spec = TableSpec(
        title="T", section="0", tasks=("diff_vqa",), columns={"x": "diff_vqa/x"}, ours="ours",
        floor="random", rows=tuple(item.row for item in rows),
    )  # fmt: skip
    found = cells(rows, ["diff_vqa/x"], "ours")
    assert below_the_floor(spec, rows, found) == ["LOW is not above RANDOM in x."]
    assert below_the_floor(spec.model_copy(update={"floor": ""}), rows, found) == []


def test_rows_that_did_not_run_have_no_cell():
    found = cells([row("ours", [0.5] * 8), row("gone", reason="no preset")], ["diff_vqa/x"], "ours")
    assert found["gone"] == {}


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx(
        {"a": 0.03, "c": 0.06, "b": 0.06}
    )
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}


def test_the_csv_has_one_line_per_row_and_score():
    rows = [row("ours", [0.5] * 8), row("gone", reason="no preset")]
    spec = TableSpec(
        title="T", section="0", tasks=("diff_vqa",), columns={"x": "diff_vqa/x"}, ours="ours",
        rows=tuple(item.row for item in rows),
    )  # fmt: skip
    lines = as_csv("t", spec, rows, cells(rows, ["diff_vqa/x"], "ours")).splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("t,ours,OURS,x,0.5,1,") and lines[2].endswith("no preset")
