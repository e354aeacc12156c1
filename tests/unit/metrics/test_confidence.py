"""What a predictions file says about sureness: names, readings, refusals."""

import math

import pytest

from lapse.core.grammar import Change
from lapse.core.types import Prediction
from lapse.metrics.confidence import (
    answer_events,
    change_events,
    change_key,
    known_methods,
    probability,
    stated,
)

ADDED = "the main image has additional findings of hernia, and edema than the reference image."
EDEMA = "the main image has an additional finding of edema than the reference image."
SURE = {
    "beam: added edema": 0.75,
    "beam: added hernia": 0.5,
    "clause: added edema": 2.0,
    "clause: added hernia": -1.0,
    "answer": 0.25,
    "log_probability": math.log(0.5),
    "mean_log_probability": math.log(0.9),
}


def said(confidence, text: str = ADDED) -> Prediction:
    return Prediction("a", "diff_vqa", text, (EDEMA,), "p", confidence=confidence)


def test_every_stated_change_has_its_probability():
    beam = stated(said(SURE), "beam")
    assert [(one.change.finding, one.probability, one.is_right) for one in beam] == [
        ("edema", 0.75, True),
        ("hernia", 0.5, False),
    ]
    clauses = [one.probability for one in stated(said(SURE), "clauses")]
    assert clauses == [pytest.approx(1 / (1 + math.exp(-2))), pytest.approx(1 / (1 + math.e))]
    assert [event.patient for event in change_events([said(SURE)], "beam")] == ["p", "p"]


def test_levels_are_in_the_name():
    level = Change("edema", "level", "mild", "moderate to severe")
    assert change_key(level) == "level edema: mild -> moderate to severe"


def test_a_missing_confidence_is_an_error_with_its_key():
    part = {name: value for name, value in SURE.items() if name != "beam: added hernia"}
    with pytest.raises(ValueError, match=r"no confidence 'beam: added hernia'.*--confidence beam"):
        stated(said(part), "beam")
    with pytest.raises(ValueError, match=r"no confidence 'baem'.*did you mean 'beam'"):
        stated(said(SURE), "baem")
    assert known_methods([said(SURE)]) == ("beam", "clauses")
    assert known_methods([said(part)]) == ("clauses",)
    assert known_methods([said({})]) == () == known_methods([said({}, "nothing has changed.")])


def test_answers_are_right_when_all_of_them_is():
    rows = [said(SURE), said(SURE, EDEMA), said({})]
    found = answer_events(rows, "share of the beam")
    assert [(event.probability, event.is_right) for event in found] == [(0.25, False), (0.25, True)]
    assert answer_events(rows, "probability of the text")[0].probability == pytest.approx(0.5)
    assert answer_events(rows, "probability per token")[0].probability == pytest.approx(0.9)


def test_log_odds_of_any_size():
    assert probability(1e6) == 1.0 and probability(-1e6) == 0.0 and probability(0.0) == 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf, True, "0.5"])
def test_a_confidence_is_a_finite_number(value):
    with pytest.raises(ValueError, match="confidence 'answer' is"):
        said({"answer": value})
