"""The page is one file, escapes what it shows, and needs no network."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lapse.core.types import Box
from lapse.evaluation.html import (
    BoxCase,
    Chart,
    Curve,
    Grounding,
    Opinion,
    Page,
    PairCase,
    Table,
    render_page,
    ticks,
)
from lapse.evaluation.html.elements import outlines

GREY = np.full((16, 16), 90, dtype=np.uint8)


def page() -> Page:
    return Page(
        title="Demo <1>",
        summary=("A few minutes are too short to read images.",),
        charts=(
            Chart("Loss", (Curve("cap", ((0, 9.0), (10, 3.5)), True), Curve("one", ((5, 2.0),)))),
        ),
        tables=(Table("Scores", ("system", "F1"), (("ours", ".12"), ("constant", ".10"))),),
        pairs=(PairCase(GREY, GREY, "what?", "a & b", "<script>x</script>", "+ edema", False),),
        grounding=(
            Grounding(
                GREY,
                "image",
                (BoxCase("carina", Box(0, 0, 0.5, 0.5), None, "said", "true words"),),
            ),
        ),
        provenance={"n": "1"},
    )


def test_page_is_self_contained_and_escaped():
    text = render_page(page())
    assert "Research use only" in text
    assert "<script" not in text and "&lt;script&gt;" in text
    assert "http://" not in text and "https://" not in text
    assert text.count("data:image/png;base64,") == 3
    assert "malformed box: a miss" in text


def test_page_parses_as_balanced_html():
    from html.parser import HTMLParser

    class Balance(HTMLParser):
        stack: list[str]

        def handle_starttag(self, tag, attrs):
            if tag not in {"meta", "img", "br"} and not self.get_starttag_text().endswith("/>"):
                self.stack.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass

        def handle_endtag(self, tag):
            assert self.stack.pop() == tag

    parser = Balance()
    parser.stack = []
    parser.feed(render_page(page()))
    assert parser.stack == []


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6),
    st.sampled_from([1e-6, 0.04, 1.0]),
)
def test_axis_holds_every_value_with_labels_that_tell_its_levels_apart(values, least_range):
    levels = ticks(values, least_range)
    assert 2 <= len(levels) <= 8
    hair = 1e-8 * (levels[-1][0] - levels[0][0])  # less than any screen shows
    assert levels[0][0] <= min(0.0, *values) + hair
    assert levels[-1][0] >= max(least_range, *values) - hair
    labels = [label for _, label in levels]
    assert len(set(labels)) == len(labels)
    assert all(abs(float(label) - value) < 1e-6 + 1e-9 * abs(value) for value, label in levels)


def test_an_opinion_stands_beside_the_answer_with_its_boxes():
    box = Box(0.1, 0.2, 0.5, 0.6)
    opinion = Opinion(
        "Answer <2>",
        "edema & more",
        "1 of 1 right",
        True,
        ("+ edema, 80% of the beam",),
        {"main": {"edema": box, "hernia": None}, "reference": {}},
    )
    case = PairCase(GREY, GREY, "what?", "edema", "nothing", "0 of 1 right", False, opinion)
    text = render_page(Page("one", (), pairs=(case,)))
    assert "Answer &lt;2&gt;" in text and "edema &amp; more" in text
    assert "+ edema, 80% of the beam" in text and "</span>hernia<br>" in text
    assert text.count("<rect ") == 1 and 'x="10.00" y="20.00"' in text


def test_boxes_that_coincide_are_all_seen():
    box, near, far = Box(0.1, 0.2, 0.5, 0.6), Box(0.105, 0.2, 0.5, 0.6), Box(0.3, 0.2, 0.5, 0.6)
    drawn = outlines([(box, "red"), (far, "blue"), (near, "green"), (box, "black")])
    dashes = dict(re.findall(r'stroke="(\w+)"[^/]*?(?:stroke-dasharray="([^"]+)")?/>', drawn))
    assert dashes == {"red": "", "blue": "", "green": "8 8", "black": "8 16"}
