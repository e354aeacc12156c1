"""MS-CXR-T: the direction of each finding from the changes of a difference answer."""

import pytest

from lapse.core.changes import Change, render
from lapse.core.types import Prediction
from lapse.metrics.progression import ProgressionAccuracy, progression_of


def item(number, changes, reference):
    answer = changes if isinstance(changes, str) else render(changes)
    return Prediction(f"progression/{number}", "progression", answer, (reference,))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (Change("edema", "added"), "worsening"),
        (Change("edema", "missing"), "improving"),
        (Change("edema", "level", "mild", "severe"), "worsening"),
        (Change("edema", "level", "moderate", "small"), "improving"),
        (Change("edema", "level", "mild", "small"), "stable"),
        (Change("edema", "level", "mild", "increasing"), "worsening"),
        (Change("pneumonia", "added"), "stable"),
    ],
)
def test_direction_of_each_kind_of_change(change, word):
    assert progression_of(frozenset({change}), "edema") == word


def test_macro_accuracy_weighs_the_classes_alike():
    up, down = [Change("edema", "added")], [Change("edema", "missing")]
    rows = [
        item(1, up, "edema: worsening"),
        item(2, up, "edema: stable; pneumonia: stable"),
        item(3, [], " edema: stable"),
        item(4, [], "edema: stable"),
        item(5, down, "edema: stable"),
        item(6, "words that the grammar does not know", "edema: stable"),
    ]
    scores = ProgressionAccuracy()(rows)
    # edema: worsening 1/1, stable 2/5 (an unread answer does not say stable); pneumonia: 1/1
    assert scores["macro accuracy edema"].value == pytest.approx((1 + 2 / 5) / 2)
    assert scores["macro accuracy"].value == pytest.approx((0.7 + 1) / 2)
    assert scores["accuracy"].per_sample == (1.0, 0.5, 1.0, 1.0, 0.0, 0.0)
    assert scores["unparsed rate"].value == pytest.approx(1 / 6)


def test_always_stable_is_right_in_one_class_of_two():
    rows = [item(n, [], f"edema: {word}") for n, word in enumerate(["stable", "worsening"])]
    assert ProgressionAccuracy()(rows)["macro accuracy"].value == 0.5


def test_a_reference_of_another_form_is_refused():
    with pytest.raises(ValueError, match=r"is needed$"):
        ProgressionAccuracy()([item(1, [], "nothing has changed.")])
