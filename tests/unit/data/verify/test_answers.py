"""Answers: the grammar parses difference answers; lists name known findings."""

import pytest

from lapse.core.changes import UNCHANGED
from lapse.data.verify.answers import answer_defects

DIFFERENCE = "what has changed compared to the reference image?"
LIST = "what abnormalities are seen in this image?"


@pytest.mark.parametrize(
    ("category", "question", "answer", "expected"),
    [
        ("difference", DIFFERENCE, UNCHANGED, ()),
        ("difference", DIFFERENCE, "the heart is new.", ("unparsed-answer",)),
        (
            "difference",
            DIFFERENCE,
            "the main image has additional findings of edema, and pneumonia atelectasis than "
            "the reference image. ",
            ("glitch-answer",),
        ),
        ("abnormality", LIST, "edema, lung opacity, and pleural effusion", ()),
        ("abnormality", LIST, "edema, gout and flu", ("unknown-finding", "unknown-finding")),
        ("abnormality", "is there evidence of any abnormalities in this image?", "yes", ()),
        ("presence", "is there gout?", "no", ()),
    ],
)
def test_defects_of_answers(category, question, answer, expected):
    assert tuple(code for code, _ in answer_defects(category, question, answer)) == expected
