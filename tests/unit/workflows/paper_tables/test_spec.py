"""The tables as files: their names and numbers, and one sentence for a wrong one."""

import pytest
import yaml

from lapse.workflows.paper_tables.spec import read_table, table_names

TABLES = [f"table{number}" for number in range(1, 7)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ours": "us"}, "ours is 'us', the rows are ours"),
        ({"floor": "random"}, "floor is 'random', the rows are ours"),
        ({"main": ["BLEU-5"]}, "main is 'BLEU-5', the columns are BLEU-4"),
        ({"columnz": {}}, "columnz: unknown key"),
        ({"columns": {}}, None),
    ],
)
def test_a_wrong_table_is_one_clear_sentence(changes, message, tmp_path):
    path = tmp_path / "table.yaml"
    values = {
        "title": "Table 9: rows",
        "section": "0",
        "tasks": ["diff_vqa"],
        "columns": {"BLEU-4": "diff_vqa/BLEU-4"},
        "ours": "ours",
        "rows": [{"key": "ours", "name": "Ours", "tiny": ["diffvqa-tiny"]}],
    }
    path.write_text(yaml.safe_dump(values | changes), "utf-8")
    if message is None:
        assert read_table(path).columns == {}
    else:
        with pytest.raises(ValueError, match=message):
            read_table(path)


def test_unknown_tables_are_refused(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"no table 'tabel2'; known: experiment, films-boxes, .* table1, .*'table2'",
    ):
        read_table("tabel2")
    with pytest.raises(ValueError, match=r"no table file .*mine.yaml"):
        read_table(tmp_path / "mine.yaml")


def test_the_package_has_the_six_tables_of_the_paper_the_experiment_and_those_of_films():
    assert table_names() == ["experiment", "films-boxes", "films-changes", *TABLES]


def test_every_table_of_scores_has_a_random_answer_as_its_floor():
    for name in table_names():
        table = read_table(name)
        assert (table.floor == "random") == (table.kind == "scores")
        first = tuple(table.columns)[:1]
        assert table.main_columns == (("BLEU-4", "Acc@0.5") if name == "table1" else first)


def test_the_printed_numbers_of_table_2():
    rows = {row.key: row.printed for row in read_table("table2").rows}
    assert rows["ours"]["CIDEr"] == 2.997 and rows["global"]["BLEU-4"] == 0.291
    assert rows["rgag-published"]["METEOR"] == 0.384
    assert rows["plural-published"]["ROUGE-L"] == 0.653
    assert rows["real-published"]["BERTScore"] == 0.968 and rows["constant"] == {}


def test_a_row_is_called_by_the_name_of_a_system_only_if_it_is_as_published():
    rows = {row.key: row for row in read_table("table2").rows}
    for key in ("blip2", "rgag", "real", "plural", "ekaid"):
        controlled, published = rows[key], rows[f"{key}-published"]
        assert controlled.name == f"{published.name.split(' (')[0]}-style"
        assert not controlled.printed
        for presets in (published.paper, published.tiny):
            assert "published" in presets[-1] and "published" not in controlled.paper[-1]
