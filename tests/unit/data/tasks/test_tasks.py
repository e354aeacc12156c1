"""One record -> samples in the forms of the paper's figure 2."""

from dataclasses import replace
from datetime import datetime

import pytest

from lapse.core import registry
from lapse.core.types import Box, Pair, Region, Study

HILUM = Region("right hilar structures", ("There is no edema.", "Clear."), Box(0.1, 0.2, 0.5, 0.6))
STUDY = Study(
    "d1",
    "s1",
    "p1",
    "d1",
    "PA",
    "train",
    datetime(2180, 5, 6),
    "No edema.\n Heart size is normal.",
    (HILUM, Region("carina", (), Box(0, 0, 1, 1)), Region("left arm", ("Line.",), None)),
)


def samples(task, record):
    return list(registry.load("tasks", task)(101).samples(record))


def test_cap_joins_the_lines_of_the_report():
    (sample,) = samples("cap", STUDY)
    assert (sample.prefix, sample.given) == ("cap:", "")
    assert sample.answer == " No edema. Heart size is normal."
    assert samples("cap", replace(STUDY, report=" ")) == []


def test_aref_is_phrase_to_box_once_per_phrase():
    first, second = samples("aref", STUDY)
    assert (first.prefix, first.given, first.answer) == (
        "aref:",
        "There is no edema.",
        " [10, 20, 50, 60]",
    )
    assert second.given == "Clear."
    assert first.box == HILUM.box


def test_gcap_is_box_to_phrases():
    (sample,) = samples("gcap", STUDY)
    assert sample.prompt == "gcap: [10, 20, 50, 60]"
    assert sample.answer == " There is no edema. Clear."


def test_caref_is_name_to_phrase_and_box():
    (sample,) = samples("caref", STUDY)
    assert sample.prompt == "caref: right hilar structures:"
    assert sample.answer == " There is no edema. Clear. [10, 20, 50, 60]"


def test_regions_without_phrase_or_box_give_no_sample():
    assert all("carina" not in s.id and "arm" not in s.id for s in samples("aref", STUDY))


def test_a_difference_question_has_reference_then_main():
    main = replace(STUDY, id="d2", image="d2", study="s2")
    pair = Pair(
        "x", STUDY, main, "what has changed?", "nothing has changed.", "difference", "train"
    )
    (sample,) = samples("diff_vqa", pair)
    assert sample.images == ("d1", "d2")
    assert sample.answer == " nothing has changed."
    presence = replace(pair, category="presence", answer="yes")
    assert samples("diff_vqa", presence) == []


@pytest.mark.parametrize(
    "category", ["abnormality", "presence", "view", "location", "level", "type"]
)
@pytest.mark.parametrize("task", ["vqa", "medical_vqa"])
def test_a_single_image_question_has_no_reference(task, category):
    main = replace(STUDY, id="d2", image="d2", study="s2")
    pair = Pair("x", STUDY, main, "is there edema?", "yes", category, "train")
    (sample,) = samples(task, pair)
    assert sample.images == ("d2",) and sample.answer == " yes"
    assert samples("diff_vqa", pair) == []


def test_the_two_kinds_of_question_are_kept_apart():
    main = replace(STUDY, id="d2", image="d2", study="s2")
    pair = Pair("x", STUDY, main, "what?", "nothing has changed.", "difference", "train")
    assert samples("vqa", pair) == [] and len(samples("diff_vqa", pair)) == 1
    (sample,) = samples("medical_vqa", pair)
    assert sample.images == ("d1", "d2") and sample.id == "medical_vqa/x"
    progression = replace(pair, category="progression", answer="edema: stable", split="test")
    assert samples("diff_vqa", progression) == samples("medical_vqa", progression) == []
    (sample,) = samples("progression", progression)
    assert sample.images == ("d1", "d2") and sample.answer == " edema: stable"


@pytest.mark.parametrize("task", ["diff_vqa_boxes", "diff_vqa_reports"])
def test_samples_with_boxes_are_those_of_diff_vqa(task):
    bare = replace(STUDY, id="bare", image="bare", regions=(), report="")
    with_report = replace(STUDY, report="Line one.\n line two.")
    pair = Pair("1-2", with_report, bare, "what?", "an answer.", "difference", "test")
    (plain,) = registry.load("tasks", "diff_vqa")(448).samples(pair)
    (sample,) = registry.load("tasks", task)(448).samples(pair)
    assert replace(sample, boxes=(), reports=()) == plain
    named = tuple((region.name, region.box) for region in with_report.regions if region.box)
    assert sample.boxes == (named, ()) and named
    expected = ("Line one. line two.", "") if task == "diff_vqa_reports" else ()
    assert sample.reports == expected


def test_training_pairs_without_boxes_are_left_out():
    task = registry.load("tasks", "diff_vqa_boxes")(448)
    bare = replace(STUDY, regions=())
    for split, count in (("train", 0), ("validate", 1), ("test", 1)):
        pair = Pair("1-2", STUDY, bare, "what?", "an answer.", "difference", split)
        assert len(list(task.samples(pair))) == count
    whole = Pair("1-2", STUDY, STUDY, "what?", "an answer.", "difference", "train")
    assert len(list(task.samples(whole))) == 1
