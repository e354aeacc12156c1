"""Changes of three labels: what an answer states, counted against expert readers."""

import math

import pytest

from lapse.core.changes import Change, render
from lapse.core.types import Prediction
from lapse.evaluation.blind_baselines import blind_text_baselines
from lapse.metrics.expert_changes import LABELS, TASK, ExpertChanges, state_of

ADDED = "pneumothorax: added; airspace opacity: unchanged; nodule or mass: unchanged"


def item(answer, reference, number=0):
    return Prediction(f"{TASK}/{number}", TASK, answer, (reference,), patient=f"nih:{number}")


def answer_of(*changes):
    return render(frozenset(Change(finding, kind) for finding, kind in changes))


def values(*items):
    return {name: score.value for name, score in ExpertChanges()(items).items()}


def test_right_missed_and_opposite_changes():
    scores = values(
        item(answer_of(("pneumothorax", "added")), ADDED, 0),
        item(answer_of(("pneumothorax", "missing"), ("hernia", "added")), ADDED, 1),
        item("nothing has changed.", "pneumothorax: missing", 2),
        item(answer_of(("edema", "added")), "airspace opacity: unchanged", 3),
    )
    assert scores["change precision"] == pytest.approx(1 / 3)
    assert scores["change recall"] == pytest.approx(1 / 3)
    assert scores["pneumothorax precision"] == pytest.approx(1 / 2)
    assert scores["airspace opacity precision"] == 0
    assert scores["opposite rate"] == pytest.approx(1 / 2)
    assert math.isnan(scores["nodule or mass recall"])
    assert scores["unparsed rate"] == 0


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ([("consolidation", "added")], "added"),
        ([("edema", "missing"), ("pneumonia", "missing")], "missing"),
        ([("edema", "missing"), ("pneumonia", "added")], "unchanged"),
        ([("pneumothorax", "added")], "unchanged"),
        ([], "unchanged"),
    ],
)
def test_one_label_has_several_findings(changes, state):
    stated = frozenset(Change(finding, kind) for finding, kind in changes)
    assert state_of(stated, "airspace opacity") == state


def test_no_answer_can_name_a_nodule():
    assert LABELS["nodule or mass"] == frozenset()
    scores = values(item(answer_of(("granuloma", "added")), "nodule or mass: added"))
    assert scores["nodule or mass recall"] == 0 and math.isnan(scores["nodule or mass precision"])


def test_unread_answers_withhold_the_scores():
    scores = values(*(item("the lung is white", ADDED, number) for number in range(4)))
    assert math.isnan(scores["change recall"]) and scores["unparsed rate"] == 1


@pytest.mark.parametrize("reference", ["edema: added", "pneumothorax: worse", "text"])
def test_a_reference_of_another_form_is_refused(reference):
    with pytest.raises(ValueError, match=r"'label: state; \.\.\.' is needed"):
        values(item("nothing has changed.", reference))
    with pytest.raises(ValueError, match="at least one"):
        ExpertChanges()([])


def test_image_blind_baselines_answer_it():
    training = [("q", answer_of(("pneumothorax", "added")))] * 3
    answers = blind_text_baselines(training, [item("x", ADDED)])
    assert {"constant answer", "nothing has changed"} <= answers.keys()
    assert values(*answers["nothing has changed"])["change recall"] == 0
