"""Answers compared with the truth, in words."""

import pytest

from lapse.workflows.demo.verdict import is_right, verdict

EDEMA = "the main image has an additional finding of edema than the reference image."
UNCHANGED = "nothing has changed."


@pytest.mark.parametrize(
    ("answer", "truth", "words", "right"),
    [
        (EDEMA, EDEMA, "1 of 1 right, 0 omitted, 0 hallucinated", True),
        (UNCHANGED, EDEMA, "0 of 1 right, 1 omitted, 0 hallucinated", False),
        (EDEMA, UNCHANGED, "0 of 0 right, 0 omitted, 1 hallucinated", False),
        ("the the", UNCHANGED, "0 of 0 right, 0 omitted, 0 hallucinated, not parsed: the", False),
    ],
)
def test_verdict(answer, truth, words, right):
    assert verdict(answer, truth).startswith(words)
    assert is_right(answer, truth) == right
