"""Known questions, phrases and regions; others are refused with the known ones."""

import pytest

from lapse.core.findings import FINDINGS
from lapse.inference.checks.questions import (
    DIFFERENCE,
    REGION_NAMES,
    SINGLE,
    check_phrase,
    check_question,
    check_regions,
)


def test_every_listed_form_is_known():
    for _, form in DIFFERENCE:
        check_question(form, ("diff_vqa",))
    for _, form in (*DIFFERENCE, *SINGLE):
        check_question(form.upper(), ("medical_vqa",))
    check_question("  What has changed compared to the reference image ", ("diff_vqa",))
    check_question("what has changed in the right basilar area?", ("diff_vqa",))


@pytest.mark.parametrize(
    "question",
    ["a dog", "banana?", "what has changed", "what has changed in the kitchen area?", "dog " * 100],
)
def test_unknown_questions_are_refused_with_the_known_ones(question):
    with pytest.raises(ValueError, match=r"known: what has changed|the limit is"):
        check_question(question, ("diff_vqa",))


def test_questions_about_one_image_need_a_model_that_is_trained_on_them():
    with pytest.raises(ValueError, match="not trained on the question 'is there edema"):
        check_question("is there edema?", ("diff_vqa",))
    check_question("is there edema?", ("vqa",))
    with pytest.raises(ValueError, match="is empty"):
        check_question(" ? ", ("vqa",))


def test_phrases_name_a_finding_or_anatomy():
    for name in FINDINGS:
        check_phrase(f"There is {name}.")
    check_phrase("The lungs are clear.")
    check_phrase("Emphysematous change is seen.")
    for phrase in ("a dog", "banana", "There is a cat in the picture."):
        with pytest.raises(ValueError, match=r"names no finding.*known: pleural effusion"):
            check_phrase(phrase)


def test_region_names():
    check_regions(REGION_NAMES)
    check_regions(["Left Lung"])
    with pytest.raises(ValueError, match=r"no region 'banana'; known: right lung"):
        check_regions(["left lung", "banana"])
    with pytest.raises(ValueError, match="did you mean 'left lung'"):
        check_regions(["left lng"])
    with pytest.raises(ValueError, match="give a list of names"):
        check_regions("left lung")
