"""Answers: calibrated probabilities where they hold, words elsewhere."""

from dataclasses import replace

import pytest

from comparisons import comparison
from lapse.inference.answer import AGREEMENT_NOTE, PROBABILITY_UNUSUAL, with_probabilities
from lapse.inference.checks.issues import InputIssue
from lapse.metrics.probability import Calibration

CALIBRATION = Calibration(
    "guard", 0.5, -1.0, 200, 90, 150, 60, 0.03, 0.02, "validate", "drawings 123", "ab"
)


def test_a_calibrated_answer_gives_probabilities_and_their_source():
    answer = with_probabilities(comparison().answer, CALIBRATION)
    assert answer.probabilities.keys() == {"added edema", "missing pneumothorax"}
    value = answer.probabilities["added edema"]
    assert value == pytest.approx(CALIBRATION.probability(0.95)) and value != 0.95
    lines = answer.lines()
    assert f"  + edema (in the main image only), calibrated probability {value:.2f}" in lines
    assert CALIBRATION.describe() in lines and AGREEMENT_NOTE not in lines
    values = replace(comparison(), answer=answer).to_dict()
    assert values["changes"][0]["probability"] == value
    assert values["calibration"] == CALIBRATION.describe()
    page = replace(comparison(), answer=answer).page()
    assert f"calibrated probability {value:.2f}" in page and "200 named changes" in page


@pytest.mark.parametrize(
    ("code", "level"),
    [("unusual-pixels", "warning"), ("not-checked", "note"), ("order", "refused")],
)
def test_films_that_are_unusual_or_not_checked_have_no_probability(code, level):
    issues = (InputIssue(code, level, "unlike the training films"),)
    answer = with_probabilities(replace(comparison().answer, issues=issues), CALIBRATION)
    assert not answer.probabilities
    assert PROBABILITY_UNUSUAL in answer.lines() and AGREEMENT_NOTE in answer.lines()
    assert any("strong agreement of 6 readings" in line for line in answer.lines())


def test_warnings_are_above_the_answer_and_notes_below():
    levels = ("note", "warning", "refused")
    issues = tuple(InputIssue("order", level, f"a {level}") for level in levels)
    given = replace(comparison(), answer=replace(comparison().answer, issues=issues))
    for lines in (given.lines(), given.answer.lines()):
        assert lines[:2] == ["warning: a warning", "warning: a refused"]
        assert lines[2].startswith("answer: ")
        assert lines.index("note: a note") > 2 and sum("a note" in line for line in lines) == 1


def test_a_calibration_of_another_kind_of_answer_is_not_used():
    answer = comparison().answer
    assert with_probabilities(answer, replace(CALIBRATION, source="beam")) is answer
    assert with_probabilities(answer, None) is answer
    plain = replace(answer, status="unguarded")
    assert with_probabilities(plain, CALIBRATION) is plain
    assert with_probabilities(plain, replace(CALIBRATION, source="beam")).probabilities
