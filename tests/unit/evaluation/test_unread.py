"""Answers and references that cannot be read: a warning, and no change scores."""

import math
from collections import Counter
from dataclasses import replace

from lapse.core.free_text.reader import parse_free_text
from lapse.core.types import Prediction
from lapse.evaluation.sample_labels import answer_labels
from lapse.evaluation.score_tables import headlines
from lapse.evaluation.subgroups import subgroup_scores
from lapse.evaluation.unread import unread_warning, unread_words
from lapse.metrics.changes import Changes
from lapse.metrics.consistency import consistency
from lapse.metrics.progression import ProgressionAccuracy
from lapse.metrics.statistics import mean_score

SAME = "nothing has changed."
ADDED = "the main image has an additional finding of edema than the reference image."


def items(num_unread: int, reference: str = SAME) -> list[Prediction]:
    texts = ["The hernia has resolved."] * num_unread + [SAME] * (100 - num_unread)
    return [Prediction(str(i), "diff_vqa", text, (reference,)) for i, text in enumerate(texts)]


def test_more_than_two_percent_unread_give_a_warning():
    assert unread_warning(items(2)) == unread_warning([]) == ""
    text = unread_warning(items(3))
    assert text.startswith("UNREAD: 3 of 100 answers (3%) cannot be read: change scores and tests")
    text = unread_warning(items(0, "No interval change."))
    assert text.startswith("UNREAD: 100 of 100 references (100%) cannot be read")
    assert "withheld" in text


def test_more_than_a_fifth_unread_withhold_the_change_scores():
    for num_unread, is_withheld in ((20, False), (21, True)):
        scores = Changes()(items(num_unread, ADDED))
        assert ("withheld" in scores["change F1"].details) == is_withheld
        shown = {name for name, score in scores.items() if not math.isnan(score.value)}
        if is_withheld:
            assert scores["change F1"].details["withheld"] == "21 of 100 answers unread"
            assert scores["change F1"].statistics is None
            assert shown == {"unparsed rate", "change F1, fully read"}
        else:
            assert "exact match" in shown
    assert "withheld" in Changes()(items(0, "No interval change."))["exact match"].details
    unread = [replace(item, task="progression", references=("edema: stable",))
              for item in items(21)]  # fmt: skip
    assert math.isnan(ProgressionAccuracy()(unread)["macro accuracy"].value)


def test_consistency_of_unread_answers_is_withheld():
    plain = [Prediction(str(i), "diff_vqa", SAME, (SAME,), str(i)) for i in range(10)]
    for num_unread in (4, 5):
        probes = [
            replace(item, id=f"{item.id}#identity", prediction="Same." if i < num_unread else SAME)
            for i, item in enumerate(plain)
        ]
        score = consistency(plain, probes)["identity"]
        assert math.isnan(score.value) == (num_unread == 5)
    assert score.details["withheld"] == "5 of 20 answers unread"


def test_unread_words_are_counted():
    assert unread_words(items(3)) == [("the", 3), ("hernia", 3), ("has", 3), ("resolved", 3)]
    assert unread_words(items(0)) == []
    lenient = replace(
        items(1)[0], prediction="New edema. Please correlate.", reader=parse_free_text
    )
    assert unread_words([lenient]) == [("please", 1), ("correlate", 1)]


def test_a_group_with_unread_references_is_not_the_group_without_changes():
    predictions = [*items(0)[:60], *items(0, "Stable film.")[:60]]
    predictions = [replace(p, id=str(n), patient=str(n)) for n, p in enumerate(predictions)]
    labels = answer_labels(predictions)
    assert Counter(labels["number of changes"]) == {"0 changes": 60, "not read": 60}
    scores = Changes()([replace(p, references=(ADDED,)) for p in predictions])
    groups = subgroup_scores(
        headlines(scores) | {"BLEU-4": mean_score("BLEU-4", [0.5] * 120, {})},
        [item.patient for item in predictions],
        {"number of changes": labels["number of changes"]},
        unread=[not item.is_read for item in predictions],
        resamples=100,
    ).scores["number of changes"]
    assert "exact match" in groups["0 changes"]
    assert set(groups["not read"]) == {"BLEU-4"}
    without_words = subgroup_scores(
        headlines(scores),
        [item.patient for item in predictions],
        {"number of changes": labels["number of changes"]},
        unread=[not item.is_read for item in predictions],
        resamples=100,
    )
    assert set(without_words.scores["number of changes"]) == {"0 changes"}
    assert without_words.hidden == ("number of changes 'not read': not read, 60 samples",)
