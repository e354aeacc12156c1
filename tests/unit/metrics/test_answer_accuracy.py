"""Short answers: order, case and full stops do not count; closed and open questions."""

import pytest

from lapse.core.types import Prediction
from lapse.metrics.answer_accuracy import AnswerAccuracy


def answer(prediction, reference):
    return Prediction(f"vqa/{prediction}/{reference}", "vqa", prediction, (reference,))


def test_accuracy_of_closed_and_open_questions():
    scores = AnswerAccuracy()(
        [
            answer(" Yes.", "yes"),
            answer("no", "yes"),
            answer("hernia,  edema", "edema, hernia"),
            answer("edema", "edema, hernia"),
            answer("", "AP view"),
        ]
    )
    assert scores["accuracy"].value == pytest.approx(2 / 5)
    assert scores["closed accuracy"].value == pytest.approx(1 / 2)
    assert scores["open accuracy"].value == pytest.approx(1 / 3)
    assert scores["accuracy"].per_sample == (1.0, 0.0, 1.0, 0.0, 0.0)


def test_question_types_that_do_not_occur_have_no_score():
    scores = AnswerAccuracy()([answer("yes", "yes")])
    assert set(scores) == {"accuracy", "closed accuracy"}
    with pytest.raises(ValueError, match="got none"):
        AnswerAccuracy()([])
