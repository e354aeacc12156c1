"""The HTML text of an evaluation report. tests/integration/test_html_reports.py opens it."""

import re
from dataclasses import replace

import pytest

from lapse.core.types import Prediction
from lapse.evaluation.html.evaluation_page import EvaluationReport, render_evaluation_report


def test_page_shows_scores_cases_and_abstention(report):
    text = render_evaluation_report(report)
    assert "Research use only" in text and "Page &lt;1&gt;" in text
    assert "12 of 24 answers: the worst, the best" in text
    assert "0.500 [0.400, 0.600]" in text and "0.125" in text and "0.250" in text
    assert "<caption>view</caption>" in text and "0.750" in text
    assert "at most 10% of a patient's answers" in text and "undecided at this" in text
    assert text.count("data:image/jpeg;base64,") == 24


def test_cases_give_the_confidence_in_words(report):
    cards = render_evaluation_report(report).partition("<h2>Cases</h2>")[2]
    marks = re.findall(r'<span class="mark">(.*?)</span>', cards)
    assert any("agreement of the beam" in mark for mark in marks)
    assert not any("%" in mark for mark in marks) and "% of the beam" not in cards
    by_clauses = replace(report.threshold, method="clauses")
    items = [
        replace(
            item,
            confidence={name.replace("beam:", "clause:"): v for name, v in item.confidence.items()},
        )
        for item in report.predictions
    ]
    cards = render_evaluation_report(replace(report, predictions=items, threshold=by_clauses))
    assert "support of its clauses" in cards and "agreement of the beam</span>" not in cards


def test_groups_that_are_all_hidden_leave_a_note_and_no_table(report):
    scores = {"subgroups": {"diff_vqa": {}}, "hidden_subgroups": {"diff_vqa": ["view 'LL'"]}}
    text = render_evaluation_report(replace(report, scores={**report.scores, **scores}))
    assert "Not shown, fewer than 50 patients or not read: view" in text
    assert "<th>group</th>" not in text


def test_charts_have_intervals_and_state_the_better_direction(report):
    text = render_evaluation_report(report)
    errors = text.partition("Answers with each kind of error")[2].partition("</figure>")[0]
    assert '<span class="interval"' in errors and "Lower is better, 0 to 1." in errors
    unknown = [replace(item, patient="") for item in report.predictions]
    text = render_evaluation_report(replace(report, predictions=unknown, threshold=None))
    errors = text.partition("Answers with each kind of error")[2].partition("</figure>")[0]
    assert '<span class="interval"' not in errors
    assert "Higher is better, 0 to 1." in text.partition("F1 of each finding")[2]


def test_simulated_patients_are_stated_on_top(report):
    text = "Simulated patients."
    assert text not in render_evaluation_report(report)
    provenance = {"provenance": {"data release": "simulated: mimic-cxr-jpg"}}
    page = render_evaluation_report(replace(report, scores=provenance))
    assert page.index(text) < page.index("Research use only")


def test_page_is_self_contained_and_escaped(report):
    text = render_evaluation_report(report)
    for address in ("http://", "https://", 'src="/', "@import", "url("):
        assert address not in text
    assert "<script>alert" not in text


@pytest.mark.parametrize(
    "scores",
    [
        {},
        {"scores": 3, "comparisons": []},
        {"scores": {"x": {"y": 1}}, "subgroups": {"a": 1}},
    ],
)
def test_scores_of_another_shape_are_skipped(report, scores):
    text = render_evaluation_report(replace(report, scores=scores))
    assert "<h2>Cases</h2>" in text


def test_page_without_store_or_confidence(report):
    plain = [replace(item, confidence={}) for item in report.predictions]
    text = render_evaluation_report(replace(report, predictions=plain, store=None, threshold=None))
    assert "data:image" not in text and "which need the store" in text
    assert "Confidence and calibration" not in text


def test_other_tasks_have_no_cases():
    rows = [Prediction("caref/i/spine", "caref", "[1, 2, 3, 4]", ("[1, 2, 3, 4]",), "p")]
    text = render_evaluation_report(EvaluationReport("t", rows))
    assert "1 answers (1 of caref)" in text and "<script" not in text


def test_page_needs_a_prediction():
    with pytest.raises(ValueError, match="at least one prediction"):
        render_evaluation_report(EvaluationReport("t", []))


def test_thousands_of_answers_give_a_small_page(report):
    rows = report.predictions
    many = [
        replace(rows[number % len(rows)], id=f"diff_vqa/{number}", patient=f"p{number}")
        for number in range(3200)
    ]
    text = render_evaluation_report(EvaluationReport("t", many, store=report.store))
    assert len(text) < 3_000_000
    assert "The first 3000 of 3200 answers." in text


def test_the_remark_of_a_data_set_is_stated_on_top(report):
    assert "Labels:" not in render_evaluation_report(report)
    scores = {**report.scores, "provenance": {"remark": "labels of a program"}}
    top = render_evaluation_report(replace(report, scores=scores)).partition("<h2>")[0]
    assert "<strong>Labels: labels of a program.</strong>" in top
