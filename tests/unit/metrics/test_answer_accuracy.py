"""Short answers: order, case and stops do not count; closed and open questions apart."""

import pytest

from lapse.core.types import Prediction
from lapse.metrics.answer_accuracy import AnswerAccuracy


def said(prediction, reference):
    return Prediction(f"vqa/{prediction}/{reference}", "vqa", prediction, (reference,))


def test_accuracy_of_closed_and_open_questions():
    scores = AnswerAccuracy()(
        [
            said(" Yes.", "yes"),
            said("no", "yes"),
            said("hernia,  edema", "edema, hernia"),
            said("edema", "edema, hernia"),
            said("", "AP view"),
        ]
    )
    assert scores["accuracy"].value == pytest.approx(2 / 5)
    assert scores["closed accuracy"].value == pytest.approx(1 / 2)
    assert scores["open accuracy"].value == pytest.approx(1 / 3)
    assert scores["accuracy"].per_sample == (1.0, 0.0, 1.0, 0.0, 0.0)


def test_a_kind_that_does_not_occur_has_no_score():
    scores = AnswerAccuracy()([said("yes", "yes")])
    assert set(scores) == {"accuracy", "closed accuracy"}
    with pytest.raises(ValueError, match="got none"):
        AnswerAccuracy()([])
