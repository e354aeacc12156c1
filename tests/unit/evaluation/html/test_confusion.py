"""Confusion of changes: counts by kind of the truth and kind of the answer."""

from lapse.core.changes import Change, render
from lapse.core.types import Prediction
from lapse.evaluation.html.confusion import NOT_NAMED, SEVERAL, count_confusion

ADDED, MISSING = Change("edema", "added"), Change("edema", "missing")
RISES = Change("edema", "level", "mild", "severe")
FALLS = Change("edema", "level", "severe", "mild")
HERNIA = Change("hernia", "added")


def item(number: int, answer: str, truth: str) -> Prediction:
    return Prediction(str(number), "diff_vqa", answer, (truth,))


def test_findings_are_counted_by_truth_and_answer():
    pairs = [
        ([ADDED], [ADDED]),
        ([MISSING, HERNIA], [ADDED]),  # wrong direction, and a finding that is not true
        ([], [RISES]),
        ([FALLS], [RISES]),
        ([ADDED, MISSING], [ADDED]),
    ]
    answers = [item(n, render(named), render(true)) for n, (named, true) in enumerate(pairs)]
    answers.append(item(9, "There is worse edema.", render([ADDED])))
    confusion = count_confusion(answers)
    assert confusion is not None and confusion.num_unread == 1
    assert confusion.columns == ("added", "missing", "level falls", SEVERAL, NOT_NAMED)
    assert confusion.rows == (
        ("added", (1, 1, 0, 1, 0), 3),
        ("level rises", (0, 0, 1, 0, 1), 2),
        (NOT_NAMED, (1, 0, 0, 0, 0), 1),
    )


def test_answers_that_name_no_finding_have_none():
    nothing = render([])
    assert count_confusion([item(0, nothing, nothing)]) is None
    assert count_confusion([]) is None
