"""Change scores against a brute-force count, whatever the order of words."""

import math
import random

import pytest

from lapse.core.changes import Change, invert, render
from lapse.core.findings import FINDINGS
from lapse.core.types import Prediction
from lapse.evaluation.score_tables import format_score
from lapse.metrics.bootstrap import with_intervals
from lapse.metrics.changes import Changes

ADDED = "the main image has an additional finding of edema than the reference image. "


def random_changes(generator: random.Random) -> frozenset[Change]:
    changes = set()
    for name in generator.sample(FINDINGS[:8], generator.randint(0, 3)):
        kind = generator.choice(["added", "missing", "level"])
        levels = generator.sample(["small", "moderate", "severe"], 2) if kind == "level" else []
        changes.add(Change(name, kind, *levels))
    return frozenset(changes)


def test_equal_to_brute_force_on_200_random_pairs():
    generator = random.Random(0)
    pairs = [(random_changes(generator), random_changes(generator)) for _ in range(200)]
    pairs += [(changes, changes) for changes, _ in pairs[:50]]
    scores = Changes()(
        [Prediction(str(i), "diff_vqa", render(a), (render(b),)) for i, (a, b) in enumerate(pairs)]
    )
    for kind in ("change", "added", "missing", "level"):
        correct = predicted = true = 0
        for answer, reference in pairs:
            for change in answer:
                if kind in ("change", change.kind):
                    predicted += 1
                    correct += any(change == other for other in reference)
            true += sum(kind in ("change", change.kind) for change in reference)
        assert scores[f"{kind} precision"].value == pytest.approx(correct / predicted)
        assert scores[f"{kind} recall"].value == pytest.approx(correct / true)
        assert scores[f"{kind} F1"].value == pytest.approx(2 * correct / (predicted + true))
    exact = sum(a == b for a, b in pairs) / len(pairs)
    assert scores["exact match"].value == pytest.approx(exact)
    assert scores["unparsed rate"].value == 0.0


def test_order_and_direction():
    truth = "the main image has additional findings of edema, and hernia than the reference image. "
    reordered = (
        "the main image has additional findings of hernia, and edema than the reference image. "
    )
    opposite = (
        "the main image is missing the findings of edema, and hernia than the reference image. "
    )
    same = Changes()([Prediction("1", "diff_vqa", reordered, (truth,))])
    assert (same["change F1"].value, same["exact match"].value) == (1.0, 1.0)
    swapped = Changes()([Prediction("1", "diff_vqa", opposite, (truth,))])
    assert (swapped["change F1"].value, swapped["exact match"].value) == (0.0, 0.0)


def test_unparsed_words_and_zero_over_zero():
    truth = "nothing has changed."
    scores = Changes()(
        [
            Prediction(str(i), "diff_vqa", text, (truth,))
            for i, text in enumerate(["", "banana", *[truth] * 8])
        ]
    )
    assert scores["unparsed rate"].value == pytest.approx(2 / 10)
    assert scores["exact match"].value == pytest.approx(8 / 10)
    assert all(math.isnan(scores[f"change {part}"].value) for part in ("precision", "recall", "F1"))
    assert scores["change F1"].details == {
        "n": "10", "correct": "0", "predicted": "0", "true": "0", "events": "0",
    }  # fmt: skip


def test_swapping_the_images_keeps_every_pooled_score():
    generator = random.Random(1)
    pairs = [(random_changes(generator), random_changes(generator)) for _ in range(60)]
    pairs += [(changes, changes) for changes, _ in pairs[:20]]

    def scores_with(turn):
        return Changes()(
            [
                Prediction(str(i), "diff_vqa", render(turn(a)), (render(turn(b)),))
                for i, (a, b) in enumerate(pairs)
            ]
        )

    plain, inverted = scores_with(frozenset), scores_with(invert)
    assert plain["change F1"].value == inverted["change F1"].value > 0.0
    assert plain["added F1"].value == inverted["missing F1"].value > 0.0
    assert plain["level F1"].value == inverted["level F1"].value > 0.0
    assert plain["exact match"].per_sample == inverted["exact match"].per_sample


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("nothing has changed. " + ADDED, ADDED),  # both cannot be true
        ("nothing has changed.", "banana"),  # an unparsed reference has no changes either
        ("banana", "banana"),
        (ADDED + "banana", ADDED),
        (ADDED, ADDED + "banana"),
    ],
)
def test_answers_that_are_not_an_exact_match(answer, reference):
    right = [Prediction(str(i), "diff_vqa", ADDED, (ADDED,)) for i in range(9)]
    scores = Changes()([Prediction("a", "diff_vqa", answer, (reference,)), *right])
    assert scores["exact match"].value == 0.9
    assert scores["exact match"].details["unparsed references"] == str(int("banana" in reference))


def test_change_f1_of_fully_read_answers_is_next_to_the_overall_one():
    texts = [(ADDED, ADDED)] * 8
    texts += [(ADDED.replace("of", "of no"), ADDED), (ADDED, "maybe " + ADDED)]
    items = [
        Prediction(str(i), "diff_vqa", answer, (true,)) for i, (answer, true) in enumerate(texts)
    ]
    scores = Changes()(items)
    assert list(scores)[2:4] == ["change F1", "change F1, fully read"]
    assert scores["change F1"].value == pytest.approx(2 * 8 / (9 + 9))
    assert scores["change F1, fully read"].value == 1.0
    assert scores["change F1, fully read"].details["read"] == "8 of 10"
    assert "change F1, fully read" not in Changes()(items[:8])


def test_contradictions_are_counted():
    both = (
        "the main image has an additional finding of edema than the reference image. "
        "the main image is missing the finding of edema than the reference image. "
    )
    scores = Changes()([Prediction("1", "diff_vqa", both, ("nothing has changed.",))])
    assert scores["contradiction rate"].value == 1.0
    with_unchanged = Changes()(
        [Prediction("1", "diff_vqa", "nothing has changed. " + ADDED, (ADDED,))]
    )
    assert with_unchanged["contradiction rate"].value == 1.0
    consistent = Changes()([Prediction("1", "diff_vqa", ADDED, (ADDED,))])
    assert consistent["contradiction rate"].value == 0.0


def test_no_prediction_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        Changes()([])


def test_hallucinations_omissions_directions_levels_and_sides():
    def level(before, after):
        return Change("edema", "level", before, after)

    answers = [{Change("hernia", "added")}, {Change("edema", "missing")}, {level("mild", "severe")}]
    references = [
        {Change("edema", "added")},
        {Change("edema", "added")},
        {level("mild", "moderate")},
    ]
    sides = ("left", "right", "left")
    rows = [
        Prediction(
            f"diff_vqa/{min(n, 1)}/2/{n}", "diff_vqa", render(a), (render(b),), "p",
            f"what has changed in the {sides[n]} area?",
        )
        for n, (a, b) in enumerate(zip(answers, references, strict=True))
    ]  # fmt: skip
    scores = Changes()(rows)
    assert (
        scores["hallucination rate"].value == scores["omission rate"].value == pytest.approx(1 / 3)
    )
    assert (scores["wrong direction"].value, scores["level accuracy"].value) == (0.5, 0.0)
    assert scores["edema missing precision"].value == 0.0
    mirrored = [
        Prediction(f"diff_vqa/1/2/{n}", "diff_vqa", render(a), (render(b),), "p", question)
        for n, (a, b, question) in enumerate(
            [
                (answers[1], references[1], "in the left lung?"),
                (references[1], answers[1], "in the right lung?"),
            ]
        )
    ]
    assert Changes()(mirrored)["side errors"].value == 1.0


def test_errors_are_better_low_and_change_scores_high():
    item = Prediction("1", "diff_vqa", ADDED, (ADDED.replace("edema", "hernia"),))
    scores = Changes()([item])
    lower = {name for name, score in scores.items() if not score.higher_is_better}
    assert lower == {
        "hallucination rate", "omission rate", "contradiction rate", "unparsed rate",
    }  # fmt: skip
    assert all(score.value_range == (0.0, 1.0) for score in scores.values())


def test_perfect_answers_about_a_rare_finding_have_no_interval_down_to_zero():
    texts = [ADDED.replace("edema", "pneumothorax"), *[ADDED] * 30]
    items = [Prediction(str(i), "diff_vqa", t, (t,), f"p{i}") for i, t in enumerate(texts)]
    scores = with_intervals(Changes()(items), [item.patient for item in items], resamples=400)
    score = scores["pneumothorax F1"]
    assert (score.value, score.low, score.high) == (1.0, 1.0, 1.0)
    num_undefined = int(score.details["undefined resamples"].split()[0])
    assert 100 < num_undefined < 200  # (30 / 31) ** 31 of 400
    assert format_score(score) == "1.000 [1.000, 1.000] (1 event)"
    assert format_score(scores["edema F1"]) == "1.000 [1.000, 1.000]"
    assert "undefined resamples" not in scores["change F1"].details


def test_scores_without_events_are_undefined():
    items = [Prediction(str(i), "diff_vqa", "nothing has changed.", ("nothing has changed.",))
             for i in range(3)]  # fmt: skip
    scores = Changes()(items)
    assert math.isnan(scores["change F1"].value) and format_score(scores["change F1"]) == "-"
    assert scores["exact match"].value == 1.0
