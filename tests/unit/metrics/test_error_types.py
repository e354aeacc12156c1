"""Each type of error on the smallest answer that has it."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lapse.core.changes import Change, render
from lapse.core.types import Prediction
from lapse.metrics.changes import Changes
from lapse.metrics.error_types import error_kinds

ADDED, MISSING = Change("edema", "added"), Change("edema", "missing")
UP = Change("edema", "level", "mild", "severe")
FURTHER = Change("edema", "level", "mild", "moderate")
DOWN = Change("edema", "level", "severe", "mild")
MORE = Change("edema", "increased")
UNORDERED = Change("edema", "level", "severe", "acute")
HERNIA = Change("hernia", "added")
SETS = st.sets(st.sampled_from([ADDED, MISSING, UP, FURTHER, DOWN, UNORDERED, HERNIA]), max_size=3)


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
        ([ADDED, MISSING], [ADDED], {"contradiction": ("edema",)}),
        ([ADDED], [ADDED, DOWN], {"other form, same direction": ("edema",)}),
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


@given(pairs=st.lists(st.tuples(SETS, SETS), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_errors_and_scores_have_one_definition(pairs):
    rows = [
        Prediction(str(i), "diff_vqa", render(answer), (render(true),))
        for i, (answer, true) in enumerate(pairs)
    ]
    scores = Changes()(rows)
    counts = Counter(
        kind for item in rows for kind, findings in error_kinds(item).items() for _ in findings
    )
    for name in ("wrong direction", "hallucination rate", "omission rate"):
        kind = {"hallucination rate": "hallucinated", "omission rate": "omitted"}.get(name, name)
        assert counts[kind] == int(scores[name].details["hits"] if name in scores else 0)


def test_an_answer_to_an_unread_reference_is_neither_right_nor_wrong():
    item = Prediction("a", "diff_vqa", render([ADDED]), (render([ADDED]) + " or not",))
    assert error_kinds(item) == {"unparsed": ()}
