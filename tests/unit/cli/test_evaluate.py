"""lapse evaluate, compare and report: what the commands print and write."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

import tiny_store
from lapse.cli.main import app
from lapse.core.changes import UNCHANGED
from lapse.data.store.store import open_store
from lapse.evaluation import subgroups
from lapse.evaluation.predictions.jsonl import read_predictions, write_predictions
from lapse.evaluation.predictions.questions import split_of_store
from lapse.evaluation.score_tables import few_events

FAST = ("--no-java", "--resamples", 100, "--split", "train")


def lapse(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(part) for part in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store and the predictions of two systems; the second never names a change."""
    folder = tmp_path_factory.mktemp("commands")
    store = open_store(tiny_store.write(folder / "store"))
    questions = split_of_store(store, "train", "diff_vqa").items
    items = [question.answered(question.answer) for question in questions]
    write_predictions(folder / "a.jsonl", items)
    write_predictions(folder / "b.jsonl", [replace(item, prediction=UNCHANGED) for item in items])
    texts = ["No significant interval change.", "New edema."] * len(items)
    free = [replace(item, prediction=text) for item, text in zip(items, texts, strict=False)]
    write_predictions(folder / "free.jsonl", free)
    return folder


def test_evaluate_prints_tables_and_writes_scores(folder):
    files = ("evaluate", folder / "a.jsonl", "--data", folder / "store")
    output = lapse(*files, "--compare-with", folder / "b.jsonl", *FAST)
    assert "\ndiff_vqa\n\n| score | a | " in output and "constant answer" in output
    assert (
        "hidden, fewer than 50 patients or not read: " in output
        and "diff_vqa by view" not in output
    )
    values = json.loads((folder / "a.scores.json").read_text("utf-8"))
    assert str(folder / "b.jsonl") in values["comparisons"]
    assert values["provenance"]["command"].startswith("lapse ")
    assert not {"BLEU-4", "METEOR"} & values["scores"]["diff_vqa"].keys()


def test_unread_answers_get_no_change_scores_and_no_test(folder, caplog):
    data = ("--data", folder / "store", *FAST)
    output = lapse("evaluate", folder / "free.jsonl", *data)
    assert "| change F1 | - |" in output and "| exact match | - |" in output
    assert "UNREAD: 16 of 16 answers (100%) cannot be read" in caplog.text
    assert "withheld" in caplog.text
    arguments = ("compare", folder / "a.jsonl", folder / "free.jsonl", *data)
    done = CliRunner().invoke(app, [str(part) for part in arguments])
    assert isinstance(done.exception, ValueError)
    assert "not tested: change F1, " in str(done.exception)
    assert "free: 16 of 16 answers unread" in str(done.exception)


def test_compare_prints_differences(folder):
    systems = (folder / "a.jsonl", folder / "b.jsonl")
    out = folder / "two.json"
    output = lapse("compare", *systems, "--data", folder / "store", *FAST, "--out", out)
    assert "| score | a | b | constant answer |" in output
    assert "diff_vqa: b against a (first = A)" in output
    assert json.loads(out.read_text("utf-8"))["differences"].keys() == {"diff_vqa"}


def test_the_page_shows_subgroups_and_differences(folder, monkeypatch):
    page = folder / "page.html"

    def report(scores) -> str:
        lapse("report", folder / "a.jsonl", "--scores", scores, "--out", page, "--cases", 2)
        return page.read_text("utf-8")

    studies = {item.id.split("/")[1] for item in read_predictions(folder / "a.jsonl")}
    tiers = (f"{study},{('coarse', 'fine')[n % 2]}\n" for n, study in enumerate(sorted(studies)))
    groups = folder / "groups.csv"
    groups.write_text("study_id,tier\n" + "".join(tiers), "utf-8")
    out = folder / "page.json"
    files = ("evaluate", folder / "a.jsonl", "--data", folder / "store", "--out", out)
    files += ("--groups", groups)
    lapse(*files, *FAST)
    text = report(out)
    assert (
        "<h2>Subgroups</h2>" in text and "Not shown, fewer than 50 patients or not read: " in text
    )
    assert "<td>view, PA</td>" not in text and "<h2>Differences" not in text
    monkeypatch.setattr(subgroups, "MIN_PATIENTS", 1)
    lapse(*files, *FAST)
    values = json.loads(out.read_text("utf-8"))
    dimensions = values["subgroups"]["diff_vqa"]
    (single,) = dimensions["view"]  # the scores of a single group are those of the main table
    assert f"<td>view, {single}</td>" not in report(out)
    group = dimensions["tier"]["coarse"]["exact match"]
    cell = f"{group['value']:.3f} [{group['low']:.3f}, {group['high']:.3f}]"
    cell += few_events(group["details"])
    assert f"<td>tier, coarse</td><td>{group['details']['n']}</td><td>{cell}</td>" in report(out)
    lapse("compare", folder / "a.jsonl", folder / "b.jsonl", *FAST, "--out", folder / "two.json")
    (row, *_) = json.loads((folder / "two.json").read_text("utf-8"))["differences"]["diff_vqa"][
        "b against a"
    ]
    text = report(folder / "two.json")
    assert "<caption>Difference questions: b against a</caption>" in text
    difference = f"{row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    assert f"<td>{difference}</td><td>{row['p_holm']:.3f}</td>" in text


def test_each_predictions_file_has_its_own_scores(folder):
    for name in ("a", "b"):
        lapse("evaluate", folder / f"{name}.jsonl", "--data", folder / "store", *FAST)
    lapse("report", folder / "a.jsonl", "--out", folder / "own.html", "--cases", 2)
    assert "1.000 [1.000, 1.000]" in (folder / "own.html").read_text("utf-8")
    with pytest.raises(ValueError, match=r"b\.scores\.json holds the scores of b\.jsonl"):
        lapse("report", folder / "a.jsonl", "--scores", folder / "b.scores.json")


def test_the_page_has_the_true_answers_of_its_scores(tmp_path):
    (tmp_path / "a.csv").write_text("id,prediction\na,nothing has changed.\nb,x\n", "utf-8")
    for name, answer in (("q", "nothing has changed."), ("other", "x")):
        rows = f"id,patient,answer\na,p,{answer}\nb,q,nothing has changed.\nc,r,yes\n"
        (tmp_path / f"{name}.csv").write_text(rows, "utf-8")
    page = tmp_path / "a.html"

    def run(command, questions, *options):
        lapse(
            command, tmp_path / "a.csv", "--questions", tmp_path / questions, "--partial", *options
        )

    run("evaluate", "q.csv", *FAST[:3])
    run("report", "q.csv", "--out", page)
    assert "2 of the 3 questions of the split are answered" in page.read_text("utf-8")
    with pytest.raises(ValueError, match="computed from other true answers or other samples"):
        run("report", "other.csv", "--out", page)


def test_a_part_of_a_split_is_stated_under_the_table(tmp_path):
    (tmp_path / "a.csv").write_text("id,prediction\na,nothing has changed.\n", "utf-8")
    rows = "id,patient,answer\na,p,nothing has changed.\nb,q,nothing has changed.\n"
    (tmp_path / "q.csv").write_text(rows, "utf-8")
    table = ("--questions", tmp_path / "q.csv", "--partial", *FAST[:3])
    output = lapse("evaluate", tmp_path / "a.csv", *table)
    assert "n: 1 (1 of the 2 questions of the split); data release: q.csv" in output


def test_the_page_has_the_reader_of_its_scores(folder, caplog):
    out = folder / "lenient.json"
    lapse("evaluate", folder / "free.jsonl", "--data", folder / "store", "--reader", "lenient",
          "--out", out, *FAST)  # fmt: skip
    assert "UNREAD" not in caplog.text
    values = json.loads(out.read_text("utf-8"))
    assert values["provenance"]["reader"] == "lenient"
    assert values["scores"]["diff_vqa"]["direction F1"]["value"] is not None
    page = folder / "lenient.html"
    lapse("report", folder / "free.jsonl", "--scores", out, "--out", page, "--cases", 2)
    assert "<strong>UNREAD: " not in page.read_text("utf-8")
    arguments = ["report", str(folder / "free.jsonl"), "--scores", str(out), "--reader", "strict"]
    done = CliRunner().invoke(app, arguments)
    assert "computed with --reader lenient" in str(done.exception)


def test_unread_answers_are_stated_on_terminal_and_page(folder, caplog):
    lapse("evaluate", folder / "free.jsonl", "--data", folder / "store", *FAST)
    assert any(line.startswith("free.jsonl: UNREAD") for line in caplog.messages)
    lapse("report", folder / "free.jsonl", "--out", folder / "free.html", "--cases", 2)
    page = (folder / "free.html").read_text("utf-8")
    assert "difference answers (" not in page  # a count of right answers is not a result
    assert "<strong>UNREAD: " in page and "F1 of each finding" not in page
    assert "16 of 16 (100%) are not read in full" in page
    assert "Words that are not read" in page and "<td>significant</td>" in page
