"""Each type of error on the smallest answer that has it."""

import pytest

from lapse.core.changes import Change, render
from lapse.core.types import Prediction
from lapse.metrics.error_types import error_kinds

ADDED, MISSING = Change("edema", "added"), Change("edema", "missing")
UP = Change("edema", "level", "mild", "severe")
FURTHER = Change("edema", "level", "mild", "moderate")
DOWN = Change("edema", "level", "severe", "mild")
MORE = Change("edema", "increased")
UNORDERED = Change("edema", "level", "severe", "acute")
HERNIA = Change("hernia", "added")


def kinds(answer, true) -> dict[str, tuple[str, ...]]:
    text = answer if isinstance(answer, str) else render(answer)
    return error_kinds(Prediction("a", "diff_vqa", text, (render(true),)))


@pytest.mark.parametrize(
    ("answer", "true", "expected"),
    [
        ([ADDED, HERNIA], [HERNIA, ADDED], {}),
        ([], [], {}),
        ([ADDED], [], {"hallucinated": ("edema",)}),
        ([], [ADDED, HERNIA], {"omitted": ("edema", "hernia")}),
        ([ADDED], [MISSING], {"wrong direction": ("edema",)}),
        ([ADDED], [UP], {"other form, same direction": ("edema",)}),
        ([MISSING], [DOWN], {"other form, same direction": ("edema",)}),
        ([MORE], [UP], {"other form, same direction": ("edema",)}),
        ([MORE], [DOWN], {"wrong direction": ("edema",)}),
        ([ADDED], [DOWN], {"wrong direction": ("edema",)}),
        ([UNORDERED], [ADDED], {"wrong level": ("edema",)}),
        ([DOWN], [UP], {"wrong direction": ("edema",)}),
        ([FURTHER], [UP], {"wrong level": ("edema",)}),
        ([HERNIA], [ADDED], {"hallucinated": ("hernia",), "omitted": ("edema",)}),
        ([ADDED, MISSING], [ADDED], {"wrong direction": ("edema",), "contradiction": ("edema",)}),
        ("what?", [], {"unparsed": ()}),
        ("", [ADDED], {"unparsed": ()}),
        (
            "nothing has changed. the main image is missing the finding of edema than the "
            "reference image.",
            [MISSING],
            {"contradiction": ()},
        ),
    ],
)
def test_kinds(answer, true, expected):
    assert kinds(answer, true) == expected


def test_an_answer_to_an_unread_reference_is_neither_right_nor_wrong():
    item = Prediction("a", "diff_vqa", render([ADDED]), (render([ADDED]) + " or not",))
    assert error_kinds(item) == {"unparsed": ()}
