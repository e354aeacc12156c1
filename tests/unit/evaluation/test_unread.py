"""A warning where the grammar cannot read many answers or references."""

from lapse.core.types import Prediction
from lapse.evaluation.unread import unread_warning

SAME = "nothing has changed."


def items(num_unread: int, reference: str = SAME) -> list[Prediction]:
    texts = ["The hernia has resolved."] * num_unread + [SAME] * (100 - num_unread)
    return [Prediction(str(i), "diff_vqa", text, (reference,)) for i, text in enumerate(texts)]


def test_more_than_two_percent_unread_give_a_warning():
    assert unread_warning(items(2)) == unread_warning([]) == ""
    assert "cannot read 3 of 100 answers (3%): change scores" in unread_warning(items(3))
    text = unread_warning(items(0, "No interval change."))
    assert "cannot read 100 of 100 references (100%): change scores" in text
