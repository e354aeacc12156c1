"""Complete tables on a tiny store: three files; an interrupted table ends the same."""

import csv
import logging
from contextlib import contextmanager

import pytest
import yaml
from typer.testing import CliRunner

import tiny_bert
import tiny_store
from benchmarks.gpt2_export import export_gpt2
from lapse.cli.main import app
from lapse.config import LanguageModelConfig
from lapse.metrics.bertscore import BertChoice
from lapse.models.backbones.gpt2 import GPT2
from lapse.workflows.paper_tables.plan import TableOptions
from lapse.workflows.paper_tables.run import run_tables
from lapse.workflows.paper_tables.settings import read_language_model
from small_table import ROWS, spec

OPTIONS = TableOptions(seeds=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_store.write(tmp_path_factory.mktemp("tables") / "store")


@pytest.fixture(scope="module")
def table(data):
    """The folder and the rows of a table that ran without interruption."""
    out = data.parent / "complete"
    return out, run_tables({"table9": spec()}, [data], out, OPTIONS)["table9"]


def test_every_row_is_trained_answered_and_scored(table):
    out, rows = table
    assert [row.reason != "" for row in rows] == [False, False, True]
    lines = csv.DictReader((out / "table9.csv").read_text("utf-8").splitlines())
    cells = {(line["row"], line["score"]): line for line in lines}
    ours, constant = cells["ours", "BLEU-4"], cells["constant", "BLEU-4"]
    assert ours["seeds"] == "2" and 0 <= float(ours["value"]) <= 1
    assert ours["printed"] == "0.594" and ours["parameters"].startswith("7748")
    assert float(constant["p_against_ours_holm"]) > 0
    assert "pretrain-gone-tiny" in cells["gone", "BLEU-4"]["not_run_because"]
    assert cells["ours", "BERTScore"]["value"] == ""  # a score that was not computed
    assert rows[0].curve[0][0] == 0 and rows[0].curve[-1][0] == 4
    assert list(rows[0].curves) == ["pretrain-tiny", "diffvqa-tiny"]


def test_runs_are_shared_and_marked(table):
    out, _ = table
    folders = sorted(path.name for path in (out / "runs").iterdir() if path.is_dir())
    kinds = [name.rsplit("-", 1)[0] for name in folders]
    assert kinds == ["diffvqa-constant"] * 2 + ["diffvqa-tiny"] * 2 + ["pretrain-tiny"]
    assert all((out / "runs" / f"{name}.done").exists() for name in folders)


def test_markdown_and_html_show_the_same_scores(table):
    out, _ = table
    markdown, html = ((out / f"table9.{kind}").read_text("utf-8") for kind in ("md", "html"))
    for text in (
        "GPT-2 starts from random weights.",
        "BERTScore is not computed: give its model with --bert.",
        "Runs: 5 in fp32.",
        "| Ours |",
        "0.594",
        "669.0 M, then 774.8 M",
        "Not run, Not there",
        "patient-safe",
    ):
        assert text in markdown
    assert "<table" in html and "Ours" in html and "<svg" in html and "0.594" in html


def test_the_same_call_again_trains_nothing(table, data):
    out, _ = table
    before = (out / "table9.csv").read_bytes()

    @contextmanager
    def refuse(title):
        raise AssertionError(f"{title} again")
        yield

    run_tables({"table9": spec()}, [data], out, OPTIONS, progress_bar=refuse)
    assert (out / "table9.csv").read_bytes() == before


def test_an_interrupted_table_ends_the_same(table, data, tmp_path):
    num_calls, last_call = 0, 6  # within the second run

    @contextmanager
    def interrupt(_):
        def progress(_done, _total):
            nonlocal num_calls
            num_calls += 1
            if num_calls == last_call:
                raise SystemExit(143)

        yield progress

    tables = {"table9": spec()}
    with pytest.raises(SystemExit):
        run_tables(tables, [data], tmp_path, OPTIONS, progress_bar=interrupt)
    run_tables(tables, [data], tmp_path, OPTIONS)
    assert (tmp_path / "table9.csv").read_bytes() == (table[0] / "table9.csv").read_bytes()


def test_a_table_of_examples_shows_answers_and_truth(table, data):
    out, _ = table
    examples = spec(kind="cases", rows=ROWS[:2], cases=2)
    run_tables({"table8": examples}, [data], out)
    text = (out / "table8.md").read_text("utf-8")
    assert text.count("| question |") == 2 and text.count("| Constant answer |") == 2
    assert text.count("| truth | the level of") == 2
    assert (out / "table8.html").read_text("utf-8").count("<img") == 4


def test_the_command_prints_its_plan_and_runs_a_table_file(data, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lapse")
    file = tmp_path / "table9.yaml"
    file.write_text(yaml.safe_dump(spec().model_dump(mode="json")), "utf-8")
    arguments = ["table", str(file), "--data", str(data), "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(app, [*arguments, "--dry-run"], catch_exceptions=False)
    assert done.exit_code == 0 and not (tmp_path / "o").exists()
    assert "published: not stated" in caplog.text and "pretrain-gone-tiny" in caplog.text
    for part in (
        "language model: random",
        "4 steps of",
        "on one A100",
        "GB of GPU memory",
        "stage 1: 1 runs",
        "stage 2: 2 runs",
        "all tables: 3 runs",
        "40% of the peak",
    ):
        assert part in caplog.text, part
    with pytest.raises(ValueError, match="--language-model random, which every table then states"):
        CliRunner().invoke(app, [*arguments, "--scale", "paper"], catch_exceptions=False)
    assert not (tmp_path / "o").exists()
    caplog.clear()
    broken = ["--set", "pretrain:data.tasks=[cap,diff_vqa]"]
    done = CliRunner().invoke(app, [*arguments, "--dry-run", *broken], catch_exceptions=False)
    assert done.exit_code == 0 and "not counted, it cannot run: the tasks" in caplog.text
    assert "all tables: 2 runs" in caplog.text and "not counted: 1 runs" in caplog.text
    with pytest.raises(ValueError, match="--records '5' is not of the form N,M"):
        CliRunner().invoke(app, [*arguments, "--dry-run", "--records", "5"], catch_exceptions=False)
    arguments += ["--set", "train.steps=2", "--set", "train.eval_every=1"]
    done = CliRunner().invoke(app, [*arguments, "--row", "constant"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "o" / "table9.html").exists()
    folders = (tmp_path / "o" / "runs").glob("*-tiny-*/config.yaml")
    assert {yaml.safe_load(path.read_text())["train"]["steps"] for path in folders} == {2}


def test_weights_and_bert_of_the_command_reach_the_table(data, tmp_path):
    """GPT-2's weights of the size of the runs, and a BERT, both with random values."""
    bert, gpt2 = tmp_path / "bert", tmp_path / "gpt2"
    bert.mkdir()
    tiny_bert.write_tiny_bert(bert)
    config = LanguageModelConfig(width=16, layers=1, heads=2, max_positions=160)
    export_gpt2(GPT2(config), gpt2)
    choice = read_language_model(str(gpt2), "tiny")
    options = TableOptions(language_model=choice, bert=BertChoice(str(bert)))
    columns = {"BLEU-4": "diff_vqa/BLEU-4", "BERTScore": "diff_vqa/BERTScore F1"}
    (row,) = run_tables(
        {"t": spec(rows=ROWS[:1], columns=columns)}, [data], tmp_path / "o", options
    )["t"]
    assert row.reason == ""
    assert -1.0 <= row.scores[0]["diff_vqa/BERTScore F1"].value <= 1.0
    text = (tmp_path / "o" / "t.md").read_text("utf-8")
    assert f"GPT-2 starts from {gpt2}." in text and "BERTScore is not computed" not in text
    (folder,) = (tmp_path / "o" / "runs").glob("diffvqa-tiny-*/initialization.json")
    assert f"language model: pretrained weights of {gpt2}" in folder.read_text("utf-8")
