"""Scores files as tables."""

from evaluation_pages import SCORES
from lapse.evaluation.html.tables import difference_tables, score_tables, subgroup_tables


def test_hidden_subgroups_are_listed_in_the_note():
    (table,) = subgroup_tables(SCORES | {"hidden_subgroups": {"view": ["LL"]}})
    assert table.columns == ("group", "n", "exact match") and table.rows == (("PA", "-", "0.750"),)
    assert table.note == "Not shown, fewer than 50 patients or not read: LL."


def test_differences_without_numbers_are_dashes():
    row = {"name": "change F1", "first": 0.5, "second": 0.6, "value": 0.1, "low": None}
    (table,) = difference_tables({"differences": {"diff_vqa": {"a against b": [row, 3]}}})
    assert table.title == "Difference questions: a against b"
    assert table.rows[0][2:] == ("-", "0.500", "0.600", "+0.100 [-, -]", "-", "-")


def test_differences_and_subgroups_state_the_better_direction():
    rate = {"value": 0.25, "higher_is_better": False, "range": [0.0, 1.0]}
    row = rate | {"name": "omission rate"}
    (table,) = difference_tables({"differences": {"diff_vqa": {"a against b": [row]}}})
    assert table.rows[0][2] == "lower, 0 to 1"
    groups = {"view": {name: {"omission rate": rate} for name in ("AP", "PA")}}
    (table,) = subgroup_tables({"subgroups": {"diff_vqa": groups}})
    assert table.columns == ("group", "n", "omission rate (lower, 0 to 1)")


def test_a_table_states_the_better_direction():
    rate = {"value": 0.25, "higher_is_better": False, "range": [0.0, 1.0]}
    scores = {"scores": {"diff_vqa": {"omission rate": rate, "exact match": {"value": 0.5}}}}
    (table,) = score_tables(scores, "a")
    assert table.columns == ("score", "meaning", "better", "a")
    assert [row[2] for row in table.rows] == ["-", "lower, 0 to 1"]


def test_the_best_system_is_first_and_baselines_are_last():
    values = {"constant answer": 0.9, "b": 0.3, "c": 0.5, "mean box": 0.1}
    scores = {
        "scores": {"diff_vqa": {"change F1": {"value": 0.4}}},
        "comparisons": {
            name: {"diff_vqa": {"change F1": {"value": value}}} for name, value in values.items()
        },
    }
    (table,) = score_tables(scores, "a")
    names = ("c", "a", "b", "constant answer", "mean box")
    assert table.columns == ("score", "meaning", "better", *names)


def test_a_dimension_with_a_single_group_is_left_out():
    group = {"exact match": {"value": 0.5}}
    groups = {
        "tier": {"coarse": group},
        "sex": {"female": group},
        "view": {"AP": group, "PA": group},
    }
    hidden = {"diff_vqa": ["sex 'male': 3 patients, 9 samples"]}
    (table,) = subgroup_tables({"subgroups": {"diff_vqa": groups}, "hidden_subgroups": hidden})
    assert [row[0] for row in table.rows] == ["sex, female", "view, AP", "view, PA"]
