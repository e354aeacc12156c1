"""Change scores against a brute-force count, whatever the order of words."""

import random

import pytest

from lapse.core.grammar import FINDINGS, Change, invert, render
from lapse.core.types import Prediction
from lapse.metrics.changes import Changes

ADDED = "the main image has an additional finding of edema than the reference image. "


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
    assert found["change F1"].details == {"n": "3", "right": "0", "said": "0", "true": "0"}
    assert found["change precision"].value == found["change recall"].value == 0.0


def test_swapping_the_images_keeps_every_pooled_score():
    generator = random.Random(1)
    pairs = [(random_changes(generator), random_changes(generator)) for _ in range(60)]
    pairs += [(changes, changes) for changes, _ in pairs[:20]]

    def scores(turn):
        return Changes()(
            [
                Prediction(str(i), "diff_vqa", render(turn(a)), (render(turn(b)),))
                for i, (a, b) in enumerate(pairs)
            ]
        )

    forth, back = scores(frozenset), scores(invert)
    assert forth["change F1"].value == back["change F1"].value > 0.0
    assert forth["added F1"].value == back["missing F1"].value > 0.0
    assert forth["level F1"].value == back["level F1"].value > 0.0
    assert forth["exact match"].per_sample == back["exact match"].per_sample


@pytest.mark.parametrize(
    ("said", "true"),
    [
        ("nothing has changed. " + ADDED, ADDED),  # both cannot be true
        ("nothing has changed.", "banana"),  # an unread reference has no changes either
        ("banana", "banana"),
        (ADDED + "banana", ADDED),
        (ADDED, ADDED + "banana"),
    ],
)
def test_what_is_no_exact_match(said, true):
    found = Changes()([Prediction("1", "diff_vqa", said, (true,))])
    assert found["exact match"].value == 0.0
    assert found["exact match"].details["unparsed references"] == str(int("banana" in true))


def test_contradictions_are_counted():
    both = (
        "the main image has an additional finding of edema than the reference image. "
        "the main image is missing the finding of edema than the reference image. "
    )
    found = Changes()([Prediction("1", "diff_vqa", both, ("nothing has changed.",))])
    assert found["contradiction rate"].value == 1.0
    also = Changes()([Prediction("1", "diff_vqa", "nothing has changed. " + ADDED, (ADDED,))])
    assert also["contradiction rate"].value == 1.0
    fine = Changes()([Prediction("1", "diff_vqa", ADDED, (ADDED,))])
    assert fine["contradiction rate"].value == 0.0


def test_no_prediction_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        Changes()([])


def test_made_up_left_out_opposite_levels_and_sides():
    def level(before, after):
        return Change("edema", "level", before, after)

    said = [{Change("hernia", "added")}, {Change("edema", "missing")}, {level("mild", "severe")}]
    true = [{Change("edema", "added")}, {Change("edema", "added")}, {level("mild", "moderate")}]
    places = ("left", "right", "left")
    rows = [
        Prediction(
            f"diff_vqa/{min(n, 1)}/2/{n}", "diff_vqa", render(a), (render(b),), "p",
            f"what has changed in the {places[n]} area?",
        )
        for n, (a, b) in enumerate(zip(said, true, strict=True))
    ]  # fmt: skip
    found = Changes()(rows)
    assert found["hallucination rate"].value == found["omission rate"].value == pytest.approx(1 / 3)
    assert (found["wrong direction"].value, found["level accuracy"].value) == (1.0, 0.0)
    assert found["edema missing precision"].value == 0.0
    sisters = [
        Prediction(f"diff_vqa/1/2/{n}", "diff_vqa", render(a), (render(b),), "p", question)
        for n, (a, b, question) in enumerate(
            [(said[1], true[1], "in the left lung?"), (true[1], said[1], "in the right lung?")]
        )
    ]
    assert Changes()(sisters)["side errors"].value == 1.0
