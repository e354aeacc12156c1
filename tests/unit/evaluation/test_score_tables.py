"""Markdown tables of scores, and the note under them."""

from lapse.core.types import Score
from lapse.evaluation.score_tables import format_markdown, parts_table, scores_table, table_note


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
