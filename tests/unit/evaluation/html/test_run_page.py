"""The HTML text of a run report: one file, escaped, without network."""

import numpy as np

from lapse.core.types import Box
from lapse.evaluation.html.elements import Table
from lapse.evaluation.html.line_chart import Chart, Curve
from lapse.evaluation.html.run_page import (
    BoxExample,
    GroundingExample,
    ModelAnswer,
    PairExample,
    RunReport,
    render_run_report,
)

GRAY = np.full((16, 16), 90, dtype=np.uint8)
BOX = Box(0.1, 0.2, 0.5, 0.6)


def report() -> RunReport:
    boxes = {"main": {"edema": BOX, "hernia": None}, "reference": {}}
    notes = ("+ edema, 80% of the beam",)
    answers = (
        ModelAnswer("Answer", "<script>x</script>", False, "0 of 1 right"),
        ModelAnswer("Answer <2>", "edema & more", True, "1 of 1 right", notes, boxes),
    )
    pair = PairExample(GRAY, GRAY, "what?", "a & b", answers)
    examples = (
        BoxExample("carina", Box(0, 0, 0.5, 0.5), None, "words", "true words"),
        BoxExample("spine", BOX, BOX, "", "true words"),
    )
    curves = (Curve("cap", ((0, 9.0), (10, 3.5)), True), Curve("aref", ((5, 2.0),)))
    return RunReport(
        title="Demo <1>",
        summary=("A few minutes are too short to read images.",),
        charts=(Chart("Loss", curves), Chart("Empty", (Curve("none", ()),))),
        tables=(Table("Scores", ("system", "F1"), (("lapse", ".12"), ("constant", ".10"))),),
        pairs=(pair,),
        grounding=(GroundingExample(GRAY, "image", examples),),
        provenance={"n": "1"},
    )


def test_page_is_self_contained_and_escaped():
    text = render_run_report(report())
    assert "Research use only" in text and "Demo &lt;1&gt;" in text
    assert "<script" not in text and "&lt;script&gt;" in text
    assert "http://" not in text and "https://" not in text
    assert text.count("data:image/png;base64,") == 3
    assert text.count("<polyline ") == 2 and "Empty" not in text


def test_page_parses_as_balanced_html():
    from html.parser import HTMLParser

    class Balance(HTMLParser):
        stack: list[str]

        def handle_starttag(self, tag, attrs):
            if tag not in {"meta", "img", "br"}:
                self.stack.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass

        def handle_endtag(self, tag):
            assert self.stack.pop() == tag

    parser = Balance()
    parser.stack = []
    parser.feed(render_run_report(report()))
    assert parser.stack == []


def test_boxes_of_regions_are_compared_with_the_truth():
    text = render_run_report(report())
    assert "malformed box: a miss" in text and "IoU 1.00" in text and "(nothing)" in text


def test_every_answer_to_a_pair_is_shown_with_its_boxes():
    text = render_run_report(RunReport("Demo", (), pairs=report().pairs))
    assert "Answer &lt;2&gt;" in text and "edema &amp; more" in text
    assert "+ edema, 80% of the beam" in text and "</span>hernia<br>" in text
    assert text.count("<rect ") == 1 and 'x="10.00" y="20.00"' in text
