"""A table from nothing to three files, on a tiny store; cut in the middle it ends the same."""

import csv
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from lapse.cli.main import app
from lapse.workflows.paper_tables.run import TableOptions, open_stores, run_table
from small_table import ROWS, spec
from tiny_store import write


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("tables") / "store")


@pytest.fixture(scope="module")
def made(data):
    out = data.parent / "whole"
    said = []
    rows = run_table("table9", spec(), [data], out, TableOptions(seeds=2), say=said.append)
    return out, rows, said


def lines(out):
    return list(csv.DictReader((out / "table9.csv").read_text("utf-8").splitlines()))


def test_every_row_is_trained_answered_and_scored(made):
    out, rows, said = made
    assert [row.reason != "" for row in rows] == [False, False, True]
    found = {(line["row"], line["score"]): line for line in lines(out)}
    ours, constant = found["ours", "BLEU-4"], found["constant", "BLEU-4"]
    assert ours["seeds"] == "2" and 0 <= float(ours["value"]) <= 1
    assert ours["printed"] == "0.594" and ours["parameters"].startswith("7748")
    assert float(constant["p_against_ours_holm"]) > 0
    assert "pretrain-gone-tiny" in found["gone", "BLEU-4"]["not_run_because"]
    assert found["ours", "BERTScore"]["value"] == ""  # a score that is not there stays empty
    assert rows[0].curve[0][0] == 0 and rows[0].curve[-1][0] == 4
    assert list(rows[0].curves) == ["pretrain-tiny", "diffvqa-tiny"]
    assert any("row gone: preset" in line for line in said)


def test_runs_are_shared_and_marked(made):
    out, _, _ = made
    folders = sorted(path.name for path in (out / "runs").iterdir() if path.is_dir())
    kinds = [name.rsplit("-", 1)[0] for name in folders]
    assert kinds == ["diffvqa-constant"] * 2 + ["diffvqa-tiny"] * 2 + ["pretrain-tiny"]
    assert all((out / "runs" / f"{name}.done").exists() for name in folders)


def test_markdown_and_page_stand_beside_the_csv(made):
    out, _, _ = made
    text, page = ((out / f"table9.{kind}").read_text("utf-8") for kind in ("md", "html"))
    for needed in (
        "| Ours |",
        "0.594",
        "669.0 M, then 774.8 M",
        "Not run, Not there",
        "patient-safe",
    ):
        assert needed in text, needed
    assert "<table" in page and "Ours" in page and "<svg" in page and "0.594" in page


def test_the_same_call_again_trains_nothing(made, data):
    out, _, _ = made
    before = (out / "table9.csv").read_bytes()

    @contextmanager
    def refuse(title):
        raise AssertionError(f"{title} again")
        yield

    run_table("table9", spec(), [data], out, TableOptions(seeds=2), bar=refuse)
    assert (out / "table9.csv").read_bytes() == before


def test_a_table_that_was_cut_ends_the_same(made, data, tmp_path):
    count, after = 0, 6  # within the second run

    @contextmanager
    def cut(_):
        def progress(_done, _total):
            nonlocal count
            count += 1
            if count == after:
                raise SystemExit(143)

        yield progress

    with pytest.raises(SystemExit):
        run_table("table9", spec(), [data], tmp_path, TableOptions(seeds=2), bar=cut)
    run_table("table9", spec(), [data], tmp_path, TableOptions(seeds=2))
    assert (tmp_path / "table9.csv").read_bytes() == (made[0] / "table9.csv").read_bytes()


def test_cases_show_answers_beside_the_truth(made, data):
    out, _, _ = made
    cases = spec(kind="cases", rows=ROWS[:2], cases=2)
    run_table("table8", cases, [data], out, TableOptions())
    text = (out / "table8.md").read_text("utf-8")
    assert text.count("| question |") == 2 and text.count("| Constant answer |") == 2
    assert "the main image has" in text
    assert (out / "table8.html").read_text("utf-8").count("<img") == 4


def test_the_command_says_what_it_would_do(data, tmp_path):
    import yaml

    file = tmp_path / "table9.yaml"
    file.write_text(yaml.safe_dump(spec().model_dump(mode="json")), "utf-8")
    arguments = ["table", str(file), "--data", str(data), "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(app, [*arguments, "--dry-run"], catch_exceptions=False)
    assert done.exit_code == 0 and not (tmp_path / "o").exists()
    assert "published: not stated" in done.output and "pretrain-gone-tiny" in done.output
    done = CliRunner().invoke(app, [*arguments, "--row", "constant"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "o" / "table9.html").exists()


def test_two_stores_of_one_size_are_refused(data):
    with pytest.raises(ValueError, match="both hold 32 px images"):
        open_stores([data, data])
    with pytest.raises(ValueError, match="a table needs data"):
        open_stores([])
