"""A table of pairs: every row once, also after a kill; errors of single rows are kept."""

import csv
from pathlib import Path

import pytest

from comparisons import comparison
from lapse.inference.answer import RESEARCH_USE
from lapse.inference.pair_table import COLUMNS, answer_pairs

FACTS = {"model": "tiny"}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "pairs.csv"
    rows = "".join(f"a{row}.png,b{row}.png,\n" for row in range(4))
    path.write_text(f"reference,main,question\n{rows}", encoding="utf-8")
    return path


class Comparer:
    """Counts its calls; raises at one pair."""

    def __init__(self, stop: str = "", error: type[BaseException] = ValueError) -> None:
        self.stop, self.error, self.seen = stop, error, []

    def __call__(self, reference: Path, main: Path, question: str):
        if reference.name == self.stop:
            raise self.error(f"{reference.name} is\nblank")
        self.seen.append(reference.name)
        return comparison()


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_is_answered_once_after_a_kill(table):
    out, calls = table.with_name("out.csv"), []
    first = Comparer("a2.png", KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        answer_pairs(table, out, first, facts=FACTS)
    part = table.with_name("out.csv.part")
    assert not out.exists()
    with part.open("a", encoding="utf-8") as file:
        file.write('{"line": "4", "torn')  # a kill within a line
    second = Comparer()
    progress = lambda *counts: calls.append(counts)  # noqa: E731
    counts = answer_pairs(table, out, second, facts=FACTS, progress=progress)
    assert (first.seen, second.seen) == (["a0.png", "a1.png"], ["a2.png", "a3.png"])
    assert (counts.rows, counts.resumed, counts.errors) == (4, 2, ())
    assert calls == [(2, 4), (3, 4), (4, 4)]
    rows = rows_of(out)
    assert tuple(rows[0]) == COLUMNS
    assert [row["reference"] for row in rows] == ["a0.png", "a1.png", "a2.png", "a3.png"]
    assert [row["line"] for row in rows] == ["2", "3", "4", "5"]
    assert {row["answer"] for row in rows} == {"the answer."}
    assert {path.name for path in table.parent.iterdir()} == {"pairs.csv", "out.csv"}


def test_an_error_of_a_row_is_kept_and_the_others_are_answered(table):
    out = table.with_name("out.csv")
    counts = answer_pairs(table, out, Comparer("a1.png"), facts=FACTS)
    assert counts.errors == ((3, "a1.png is blank"),)
    rows = rows_of(out)
    assert [row["status"] for row in rows] == ["changed", "error", "changed", "changed"]
    assert rows[1]["error"] == "a1.png is blank" and rows[1]["main"] == "b1.png"
    assert {row["research use"] for row in rows} == {RESEARCH_USE}


def test_an_unfinished_table_of_another_job_is_refused(table):
    out = table.with_name("out.csv")
    with pytest.raises(KeyboardInterrupt):
        answer_pairs(table, out, Comparer("a1.png", KeyboardInterrupt), facts=FACTS)
    with pytest.raises(ValueError, match=r"of another job \(model differ"):
        answer_pairs(table, out, Comparer(), facts={"model": "other"})
    table.write_text("reference,main\na.png,b.png\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"of another job \(table differ"):
        answer_pairs(table, out, Comparer(), facts=FACTS)


@pytest.mark.parametrize("text", ["reference,later\na,b\n", "reference,main\n"])
def test_a_table_without_its_columns_or_rows_is_refused(table, text):
    table.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"main|no rows"):
        answer_pairs(table, table.with_name("out.csv"), Comparer(), facts=FACTS)
