"""Markdown tables of scores, and the note under them."""

import numpy as np

from lapse.core.types import Score
from lapse.evaluation.score_tables import (
    differences_table,
    format_markdown,
    format_score,
    interval_notes,
    parts_table,
    scores_table,
    table_note,
)
from lapse.metrics.bootstrap import with_intervals
from lapse.metrics.paired_tests import Difference
from lapse.metrics.statistics import FRACTION, mean_score, pooled_scores


def test_table_and_markdown():
    error = Score("Acc", 0.25, 0.2, 0.3, higher_is_better=False, value_range=(0.0, 1.0))
    rows = {
        "lapse": {"F1": Score("F1", 0.5), "Acc": error},
        "blind": {"F1": Score("F1", 0.125)},
    }
    table = scores_table(rows)
    assert table == [
        ["", "F1", "Acc"],
        ["lapse", "0.500", "0.250 [0.200, 0.300]"],
        ["blind", "0.125", "-"],
        ["better", "higher", "lower, 0 to 1"],
    ]
    assert format_markdown(table).splitlines() == [
        "| score | lapse | blind | better |",
        "|---|---|---|---|",
        "| F1 | 0.500 | 0.125 | higher |",
        "| Acc | 0.250 [0.200, 0.300] | - | lower, 0 to 1 |",
    ]


def test_only_scores_of_one_finding_or_region_are_in_the_parts_table():
    """Rates of probes and of abstention have the detail "of" as well."""
    rate = Score("swap law", 0.5, details={"n": "2", "of": "4"})
    part = Score("edema F1", 0.5, details={"n": "2", "of": "edema", "kind": "finding"})
    rows = {"lapse": {"swap law": rate, "edema F1": part}}
    assert scores_table(rows)[0] == ["", "swap law"]
    assert parts_table(rows, "finding")[0] == ["", "edema F1 (n 2)"]


def test_parts_without_any_value_are_left_out():
    details = {"n": "2", "of": "edema", "kind": "finding"}
    rows = {"lapse": {"edema F1": Score("edema F1", np.nan, details=details)}}
    assert parts_table(rows, "finding") == []


def test_differences_state_the_better_direction_and_the_range():
    row = Difference("change F1", 0.5, 0.6, 0.0, 0.2, 0.5, None, range=(0.0, 1.0))
    assert [line[-1] for line in differences_table([row])] == ["better", "higher, 0 to 1"]


def test_note_and_parts_give_the_n_of_rows_with_other_samples():
    def row(n: int) -> dict[str, Score]:
        details = {"n": str(n), "of": "carina", "kind": "region"}
        return {
            "Acc": Score("Acc", 0.5, details={"n": str(n)}),
            "Acc carina": Score("c", 0.5, details=details),
        }

    same, other = {"lapse": row(10), "blind": row(10)}, {"lapse": row(10), "gold: lapse": row(9)}
    assert table_note(same, {}).startswith("n: 10; data release: not known")
    assert table_note(other, {}).startswith("n: 10 (gold: lapse: 9); ")
    assert parts_table(same, "region")[0] == ["", "Acc carina (n 10)"]
    assert parts_table(other, "region")[0] == ["", "Acc carina (n 10 / 9)"]


def test_notes_name_few_patients_and_scores_without_an_interval():
    hits = [1.0, 0.0, 1.0]
    score = mean_score("accuracy", hits, {}, value_range=FRACTION)
    scored = with_intervals({"accuracy": score}, ["a", "b", "c"], resamples=100)
    (note,) = interval_notes({"accuracy": scored["accuracy"].details})
    assert note.startswith("intervals of 3 patients: with fewer than 50 ")
    assert interval_notes({"accuracy": {"patients": "50", "interval": "95%"}}) == []
    single = with_intervals({"accuracy": score, "other": score}, ["a"] * 3)
    notes = interval_notes({name: item.details for name, item in single.items()})
    assert notes == ["no interval (one patient only): accuracy, other"]
    assert notes[0] in table_note({"a": single}, {})


def test_scores_of_one_side_give_their_number_of_changes():
    rows = np.array([[1.0, 1.0, 2.0]])
    scores = pooled_scores("left-side change", rows, 0, {})
    table = scores_table({"a": {"left-side change F1": scores["left-side change F1"]}})
    assert table[0] == ["", "left-side change F1 (n 2)"]


def test_few_samples_of_a_mean_are_marked():
    for count, remark in ((19, " (19 events)"), (20, "")):
        cell = format_score(mean_score("accuracy", [1.0] * count, {}))
        assert cell == f"1.000{remark}"


def test_the_remark_of_a_data_set_is_printed_with_the_scores():
    rows = {"lapse": {"Acc": Score("Acc", 0.5, details={"n": "10"})}}
    lines = table_note(rows, {"remark": "labels of a program"}).splitlines()
    assert lines[0] == "remark: labels of a program" and lines[1].startswith("n: 10")
