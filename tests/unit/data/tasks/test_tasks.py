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


IMPRESSION = "Heart size is normal."
DESCRIBED = replace(
    STUDY,
    report=f"No edema. {IMPRESSION}",
    impression=IMPRESSION,
    regions=(replace(HILUM, findings=("edema", "pneumonia")), *STUDY.regions[1:]),
)
QUESTION = Pair("q", replace(DESCRIBED, id="d0", image="d0"), DESCRIBED, "what?", "none",
                "difference", "train")  # fmt: skip


@pytest.mark.parametrize(
    ("task", "images", "prefix", "answer"),
    [
        ("report_single", ("d1",), "what does the image describe?", " No edema."),
        ("impression_single", ("d1",), "what is the summary of the image?", f" {IMPRESSION}"),
        ("report_pair", ("d0", "d1"), "what does the image describe?", " No edema."),
        ("impression_pair", ("d0", "d1"), "what is the summary of the image?", f" {IMPRESSION}"),
        ("report_single_boxes", ("d1",), "report:", f" No edema. {IMPRESSION}"),
        ("report_pair_boxes", ("d0", "d1"), "report:", f" No edema. {IMPRESSION}"),
    ],
)
def test_reports_of_one_image_or_of_a_pair(task, images, prefix, answer):
    record = QUESTION if len(images) == 2 else DESCRIBED
    (sample,) = samples(task, record)
    assert (sample.images, sample.prefix, sample.answer) == (images, prefix, answer)
    assert sample.id.startswith(f"{task}/")
    assert len(sample.boxes) == (len(images) if "boxes" in task else 0)
    if len(images) == 2:
        assert not samples(task, replace(QUESTION, category="presence"))
        assert not samples(task, replace(QUESTION, main=replace(STUDY, report="")))


def test_a_report_without_a_known_impression_is_all_findings():
    (sample,) = samples("report_single", STUDY)
    assert sample.answer == " No edema. Heart size is normal."
    assert samples("impression_single", STUDY) == []


def test_findings_of_the_regions_with_a_box():
    (sample,) = samples("region_findings", DESCRIBED)
    assert sample.answer == " right hilar structures: edema, pneumonia"
    expected = (("right hilar structures", ("edema", "pneumonia")), ("carina", ()))
    assert sample.findings == (expected,)
    assert [name for name, _ in sample.boxes[0]] == ["right hilar structures", "carina"]
    assert samples("region_findings", replace(STUDY, regions=())) == []


@pytest.mark.parametrize("category", ["difference", "presence", "view"])
def test_medical_vqa_boxes_has_both_images_in_every_category(category):
    (sample,) = samples("medical_vqa_boxes", replace(QUESTION, category=category))
    assert (sample.task, sample.id) == ("medical_vqa", "medical_vqa/q")
    assert sample.images == ("d0", "d1")
    assert len(sample.boxes) == 2
