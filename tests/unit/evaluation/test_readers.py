"""Readers by name, and the changes of another extractor."""

import json
import logging
from dataclasses import replace

import pytest

from lapse.core.changes import Change
from lapse.core.types import Prediction
from lapse.evaluation.compare_files import CompareOptions, compare_files
from lapse.evaluation.evaluate import EvaluateOptions
from lapse.evaluation.evaluate_file import EvaluateFileOptions, evaluate_file
from lapse.evaluation.predictions.jsonl import write_predictions
from lapse.evaluation.readers import check_same_reader, with_changes, with_reader
from lapse.evaluation.references import ReferenceOptions

ADDED = "the main image has an additional finding of edema than the reference image."
TEXTS = ("New pulmonary edema.", "Edema is worse.", "Edema resolved.")
FREE = [
    Prediction(f"diff_vqa/{i}", "diff_vqa", text, (ADDED,), f"p{i}") for i, text in enumerate(TEXTS)
]


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_readers_by_name():
    assert not FREE[0].answer.is_parsed
    lenient = with_reader(FREE, "lenient")
    assert [item.answer.changes for item in lenient] == [
        {Change("edema", "added")}, {Change("edema", "increased")}, {Change("edema", "missing")},
    ]  # fmt: skip
    assert all(item.is_read for item in lenient)
    with pytest.raises(ValueError, match=r"no reader 'lenien'; .*did you mean 'lenient'"):
        with_reader(FREE, "lenien")


def test_free_text_is_scored_by_direction(tmp_path):
    path = tmp_path / "free.jsonl"
    write_predictions(path, FREE)
    options = EvaluateFileOptions(
        path, references=ReferenceOptions(reader="lenient"),
        scoring=EvaluateOptions(use_java=False, resamples=100),
    )  # fmt: skip
    result = evaluate_file(options)
    scores = result.scores["diff_vqa"]
    assert scores["change F1"].value == pytest.approx(1 / 3)
    assert scores["direction F1"].value == pytest.approx(2 / 3)
    assert scores["wrong direction"].value == pytest.approx(1 / 3)
    assert result.provenance["reader"] == "lenient"


def test_changes_of_another_extractor(tmp_path, caplog):
    rows = [
        {"id": "diff_vqa/0", "changes": [{"finding": "Pulmonary edema", "kind": "increased"},
                                         {"finding": "nodule", "kind": "added"}]},
        {"id": "diff_vqa/1", "changes": []},
        {"id": "diff_vqa/2", "changes": [], "unread": ["Edema resolved."],
         "reference_changes": [{"finding": "edema", "kind": "level", "before": "mild",
                                "after": "severe"}]},
    ]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        read = with_changes(FREE, write(tmp_path / "c.jsonl", *rows), "free")
    assert "1 changes of findings" in caplog.text and "'nodule' (1)" in caplog.text
    assert read[0].answer.changes == {Change("edema", "increased")}
    assert read[0].truth.changes == {Change("edema", "added")}
    assert read[1].answer.is_unchanged and not read[2].answer.is_parsed
    assert read[2].truth.changes == {Change("edema", "level", "mild", "severe")}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "diff_vqa/0", "changes": []}], "2 difference answers of free have no line"),
        ([{"id": "x", "changes": []}], "1 lines have no answer"),
        ([{"id": "a", "changes": []}] * 2, "line 2: a second line for 'a'"),
        ([{"id": "a", "change": []}], r"line 1: unknown keys \['change'\]"),
        ([{"changes": []}], "line 1: wrong or missing key 'id'"),
        ([{"id": "a", "changes": "edema"}], "changes is a list of objects"),
        ([{"id": "a", "changes": [{"finding": "edema", "kind": "worse"}]}], "unknown kind"),
        ([{"id": "a", "changes": [{"finding": "edema", "kind": "added", "side": "left"}]}],
         r"unknown keys of a change \['side'\]"),
        ([["a"]], "line 1: a line is an object"),
    ],
)  # fmt: skip
def test_damaged_files_are_refused(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        with_changes(FREE, write(tmp_path / "c.jsonl", *rows), "free")


def test_lines_of_other_systems_are_skipped(tmp_path):
    row = {"id": "diff_vqa/0", "system": "free", "changes": []}
    path = write(tmp_path / "c.jsonl", row)
    assert with_changes(FREE, path, "other", is_required=False) == FREE
    read = with_changes(FREE, path, "free", is_required=False)
    assert read[0].answer.is_unchanged and not read[1].answer.is_parsed


def test_a_page_with_another_reader_than_its_scores_is_refused(tmp_path):
    scores = {"provenance": {"reader": "lenient"}}
    check_same_reader(scores, "lenient", None)
    check_same_reader({}, "strict", None)
    with pytest.raises(ValueError, match="--reader lenient, the page has --reader strict"):
        check_same_reader(scores, "strict", None)
    with pytest.raises(ValueError, match=r"changes file \(none\), the page has c.jsonl"):
        check_same_reader(scores, "lenient", write(tmp_path / "c.jsonl", {}))


def test_scores_of_stated_changes(tmp_path):
    path, other = tmp_path / "free.jsonl", tmp_path / "strict.jsonl"
    write_predictions(path, FREE)
    write_predictions(other, [replace(item, prediction=ADDED) for item in FREE])
    added = [{"finding": "edema", "kind": "added"}]
    rows = [{"id": item.id, "changes": added} for item in FREE[:2]]
    changes = write(tmp_path / "c.jsonl", *rows, {"id": FREE[2].id, "changes": []})
    scoring = EvaluateOptions(use_java=False, resamples=100)
    result = evaluate_file(
        EvaluateFileOptions(path, changes=changes, scoring=scoring, compare_with=(other,))
    )
    assert result.scores["diff_vqa"]["change F1"].value == pytest.approx(2 * 2 / (2 + 3))
    assert result.comparisons[str(other)]["diff_vqa"]["change F1"].value == 1.0
    assert result.provenance["changes"].startswith("c.jsonl, SHA-256 ")
    named = write(tmp_path / "s.jsonl", *({**row, "system": "free"} for row in [
        *rows, {"id": FREE[2].id, "changes": []}]))  # fmt: skip
    compared = compare_files(
        CompareOptions((other, path), tmp_path / "two.json", changes=named, scoring=scoring)
    )
    assert compared.scores["free"]["diff_vqa"]["change F1"].value == pytest.approx(0.8)
    assert not compared.refused
