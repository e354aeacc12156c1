"""Change scores against a brute-force count, whatever the order of words."""

import random

import pytest

from lapse.grammar import FINDINGS, Change, render
from lapse.metrics.blind import best_changes, best_constant, mean_box, random_answer
from lapse.metrics.changes import Changes
from lapse.types import Box, Prediction


def random_changes(generator: random.Random) -> frozenset[Change]:
    found = set()
    for name in generator.sample(FINDINGS[:8], generator.randint(0, 3)):
        kind = generator.choice(["added", "missing", "level"])
        levels = generator.sample(["small", "moderate", "severe"], 2) if kind == "level" else []
        found.add(Change(name, kind, *levels))
    return frozenset(found)


def test_equal_to_brute_force_on_200_random_pairs():
    generator = random.Random(0)
    pairs = [(random_changes(generator), random_changes(generator)) for _ in range(200)]
    pairs += [(changes, changes) for changes, _ in pairs[:50]]
    found = Changes()(
        [Prediction(str(i), "diff_vqa", render(a), (render(b),)) for i, (a, b) in enumerate(pairs)]
    )
    for kind in ("change", "added", "missing", "level"):
        right = said = true = 0
        for ours, theirs in pairs:
            for change in ours:
                if kind in ("change", change.kind):
                    said += 1
                    right += any(change == other for other in theirs)
            true += sum(kind in ("change", change.kind) for change in theirs)
        assert found[f"{kind} precision"].value == pytest.approx(right / said)
        assert found[f"{kind} recall"].value == pytest.approx(right / true)
        assert found[f"{kind} F1"].value == pytest.approx(2 * right / (said + true))
    exact = sum(a == b for a, b in pairs) / len(pairs)
    assert found["exact match"].value == pytest.approx(exact)
    assert found["unparsed rate"].value == 0.0


def test_order_and_direction():
    truth = "the main image has additional findings of edema, and hernia than the reference image. "
    turned = (
        "the main image has additional findings of hernia, and edema than the reference image. "
    )
    opposite = (
        "the main image is missing the findings of edema, and hernia than the reference image. "
    )
    same = Changes()([Prediction("1", "diff_vqa", turned, (truth,))])
    assert (same["change F1"].value, same["exact match"].value) == (1.0, 1.0)
    swapped = Changes()([Prediction("1", "diff_vqa", opposite, (truth,))])
    assert (swapped["change F1"].value, swapped["exact match"].value) == (0.0, 0.0)


def test_unread_words_and_nothing_over_nothing():
    truth = "nothing has changed."
    found = Changes()(
        [Prediction(str(i), "diff_vqa", t, (truth,)) for i, t in enumerate(["", "banana", truth])]
    )
    assert found["unparsed rate"].value == pytest.approx(2 / 3)
    assert found["exact match"].value == pytest.approx(1 / 3)
    assert found["change F1"].value == 0.0
    assert found["change F1"].details == {"right": "0", "said": "0", "true": "0"}


def test_contradictions_are_counted():
    both = (
        "the main image has an additional finding of edema than the reference image. "
        "the main image is missing the finding of edema than the reference image. "
    )
    found = Changes()([Prediction("1", "diff_vqa", both, ("nothing has changed.",))])
    assert found["contradiction rate"].value == 1.0


def test_blind_rows_are_made_from_training_answers():
    edema = "the main image has an additional finding of edema than the reference image."
    answers = ["nothing has changed."] * 3 + [edema] * 2
    assert best_constant(answers) in answers
    assert best_changes(answers) == edema
    drawn = {random_answer(answers, f"s{i}", 0) for i in range(40)}
    assert drawn == set(answers)
    assert random_answer(answers, "s1", 0) == random_answer(answers, "s1", 0)
    boxes = mean_box([("a", Box(0, 0, 0.5, 0.5)), ("a", Box(0.5, 0.5, 1, 1))])
    assert boxes["a"] == Box(0.25, 0.25, 0.75, 0.75)
