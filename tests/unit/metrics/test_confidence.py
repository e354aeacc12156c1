"""Confidence values of a predictions file: names, events, refusals."""

import math

import pytest

from lapse.core.changes import Change
from lapse.core.types import Prediction
from lapse.metrics.confidence import (
    answer_events,
    change_events,
    change_key,
    confidence_events,
    sigmoid,
    stated_changes,
)

ADDED = "the main image has additional findings of hernia, and edema than the reference image."
EDEMA = "the main image has an additional finding of edema than the reference image."
CONFIDENCE = {
    "beam: added edema": 0.75,
    "beam: added hernia": 0.5,
    "clause: added edema": 2.0,
    "clause: added hernia": -1.0,
    "answer": 0.25,
    "log_probability": math.log(0.5),
    "mean_log_probability": math.log(0.9),
}


def prediction(confidence, text: str = ADDED) -> Prediction:
    return Prediction("a", "diff_vqa", text, (EDEMA,), "p", confidence=confidence)


def change_confidences(confidence, text: str = ADDED) -> list[str]:
    events = confidence_events([prediction(confidence, text)])
    return [name for name in events if name.startswith("changes")]


def test_every_stated_change_has_its_probability():
    beam = stated_changes(prediction(CONFIDENCE), "beam")
    assert [(item.change.finding, item.probability, item.is_right) for item in beam] == [
        ("edema", 0.75, True),
        ("hernia", 0.5, False),
    ]
    clauses = [item.probability for item in stated_changes(prediction(CONFIDENCE), "clauses")]
    assert clauses == [pytest.approx(1 / (1 + math.exp(-2))), pytest.approx(1 / (1 + math.e))]
    assert [event.patient for event in change_events([prediction(CONFIDENCE)], "beam")] == [
        "p",
        "p",
    ]


def test_keys_name_the_levels():
    level = Change("edema", "level", "mild", "moderate to severe")
    assert change_key(level) == "level edema: mild -> moderate to severe"


def test_a_missing_confidence_is_an_error_with_its_key():
    part = {name: value for name, value in CONFIDENCE.items() if name != "beam: added hernia"}
    with pytest.raises(ValueError, match=r"no confidence 'beam: added hernia'.*--confidence beam"):
        stated_changes(prediction(part), "beam")
    with pytest.raises(ValueError, match=r"no confidence 'baem'.*did you mean 'beam'"):
        stated_changes(prediction(CONFIDENCE), "baem")
    assert change_confidences(CONFIDENCE) == ["changes, by beam", "changes, by clauses"]
    assert change_confidences(part) == ["changes, by clauses"]
    assert change_confidences({}) == change_confidences({}, "nothing has changed.") == []


def test_an_answer_is_right_when_all_its_changes_are():
    rows = [prediction(CONFIDENCE), prediction(CONFIDENCE, EDEMA), prediction({})]
    events = answer_events(rows, "fraction of the beam")
    assert [(event.probability, event.is_right) for event in events] == [
        (0.25, False),
        (0.25, True),
    ]
    assert answer_events(rows, "probability of the text")[0].probability == pytest.approx(0.5)
    assert answer_events(rows, "probability per token")[0].probability == pytest.approx(0.9)


def test_sigmoid_of_any_size():
    assert sigmoid(1e6) == 1.0 and sigmoid(-1e6) == 0.0 and sigmoid(0.0) == 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf, True, "0.5"])
def test_a_confidence_is_a_finite_number(value):
    with pytest.raises(ValueError, match="confidence 'answer' is"):
        prediction({"answer": value})
