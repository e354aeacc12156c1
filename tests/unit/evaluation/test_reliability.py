"""Consistency, sureness and abstention beside the scores, each where there is something to tell."""

import pytest

from lapse.core.types import Prediction
from lapse.evaluation.reliability import reliability_scores
from lapse.metrics.abstention import choose_threshold

EDEMA = "the main image has an additional finding of edema than the reference image."
NOTHING = "nothing has changed."
SURE = {"beam: added edema": 0.75, "answer": 0.5, "log_probability": -1.0}
PLAIN = Prediction("d0", "diff_vqa", EDEMA, (EDEMA,), "p0")
CAREF = Prediction("caref/i/spine", "caref", "?", ("[0, 0, 9, 9]",), "p1")


def test_trust_is_told_where_there_is_something_to_tell():
    sure = [
        Prediction(
            f"d{n}", "diff_vqa", EDEMA, (EDEMA if n % 2 else NOTHING,), f"p{n}", confidence=SURE
        )
        for n in range(20)
    ]
    assert reliability_scores([PLAIN, CAREF]) == {}
    assert list(reliability_scores(sure)) == ["confidence"]
    assert reliability_scores(sure)["confidence"]["ECE, changes by beam"].value == pytest.approx(
        0.25
    )
    probes = [Prediction(f"d{n}#identity", "diff_vqa", NOTHING, (NOTHING,), "p") for n in range(20)]
    found = reliability_scores([*sure, CAREF], probes, choose_threshold(sure, 0.6, "beam"))
    assert list(found) == ["consistency", "confidence", "abstention"]
    assert found["consistency"]["identity"].value == 1.0
    assert found["abstention"]["false-change rate"].value == 0.5
    with pytest.raises(ValueError, match="have no plain answer"):
        reliability_scores(sure[:1], probes)
