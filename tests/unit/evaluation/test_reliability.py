"""Consistency, confidence and abstention, each where its data is given."""

from dataclasses import replace

import pytest

from lapse.core.types import Prediction
from lapse.evaluation.reliability import reliability_scores
from lapse.metrics.abstention import choose_threshold

EDEMA = "the main image has an additional finding of edema than the reference image."
NOTHING = "nothing has changed."
CONFIDENCE = {"beam: added edema": 0.75, "answer": 0.5, "log_probability": -1.0}
PLAIN = Prediction("d0", "diff_vqa", EDEMA, (EDEMA,), "p0")
CAREF = Prediction("caref/i/spine", "caref", "?", ("[0, 0, 9, 9]",), "p1")


def test_confidence_in_unread_answers_is_withheld():
    items = [
        Prediction(f"d{n}", "diff_vqa", EDEMA if n else "Edema?", (EDEMA,), f"p{n}",
                   confidence=CONFIDENCE)
        for n in range(4)
    ]  # fmt: skip
    scores = reliability_scores(items)["confidence"]
    assert all(score.details["withheld"] == "1 of 4 answers unread" for score in scores.values())
    scores = reliability_scores(items[1:])["confidence"]
    assert not any("withheld" in score.details for score in scores.values())


def test_each_part_is_given_where_its_data_is_given():
    confident = [
        Prediction(
            f"d{n}",
            "diff_vqa",
            EDEMA,
            (EDEMA if n % 2 else NOTHING,),
            f"p{n}",
            confidence=CONFIDENCE,
        )
        for n in range(20)
    ]
    assert reliability_scores([PLAIN, CAREF]) == {}
    assert list(reliability_scores(confident)) == ["confidence"]
    assert reliability_scores(confident)["confidence"][
        "ECE, changes by beam"
    ].value == pytest.approx(0.25)
    probes = [Prediction(f"d{n}#identity", "diff_vqa", NOTHING, (NOTHING,), "p") for n in range(20)]
    validation = [replace(item, patient=f"v{item.patient}") for item in confident]
    threshold = choose_threshold(validation, 0.6, "beam")
    scores = reliability_scores([*confident, CAREF], probes, threshold)
    assert list(scores) == ["consistency", "confidence", "abstention"]
    assert scores["consistency"]["identity"].value == 1.0
    assert scores["abstention"]["false-change rate"].value == 0.5
    with pytest.raises(ValueError, match="20 of the 20 patients of these answers are among the 20"):
        reliability_scores(confident, threshold=choose_threshold(confident, 0.6, "beam"))
    with pytest.raises(ValueError, match="have no plain answer"):
        reliability_scores(confident[:1], probes)
