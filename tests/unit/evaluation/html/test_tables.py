"""Scores files as tables."""

from evaluation_pages import SCORES
from lapse.evaluation.html.tables import difference_tables, subgroup_tables


def test_hidden_subgroups_are_listed_in_the_note():
    (table,) = subgroup_tables(SCORES | {"hidden_subgroups": {"view": ["LL"]}})
    assert table.columns == ("group", "n", "exact match") and table.rows == (("PA", "-", "0.750"),)
    assert table.note == "Not shown, fewer than 50 patients: LL."


def test_differences_without_numbers_are_dashes():
    row = {"name": "change F1", "first": 0.5, "second": 0.6, "value": 0.1, "low": None}
    (table,) = difference_tables({"differences": {"diff_vqa": {"a against b": [row, 3]}}})
    assert table.title == "Difference questions: a against b"
    assert table.rows[0][2:] == ("0.500", "0.600", "+0.100 [-, -]", "-", "-")
