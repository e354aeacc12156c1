"""HTML reports in a browser: no error, no request, no sideways scrolling; the filters work."""

import numpy as np
import pytest

import browser
import evaluation_pages
import tiny_store
from comparisons import comparison
from lapse.core.types import Box
from lapse.data.verify.results import Findings, VerifyReport
from lapse.evaluation.html.case_selection import findings_of
from lapse.evaluation.html.elements import Table
from lapse.evaluation.html.evaluation_page import render_evaluation_report
from lapse.evaluation.html.line_chart import Chart, Curve
from lapse.evaluation.html.run_page import (
    BoxExample,
    GroundingExample,
    ModelAnswer,
    PairExample,
    RunReport,
    render_run_report,
)
from lapse.evaluation.html.verify_page import render_verify_page
from lapse.metrics.error_types import error_kinds

pytestmark = pytest.mark.skipif(browser.find_browser() is None, reason="needs Chromium")
SHOWN_CASES = "Array.from(document.querySelectorAll('article.case')).filter((e) => !e.hidden)"
NUM_ROWS = "document.querySelectorAll('#rows tr').length"
CHOOSE = """(() => {{ const menu = document.getElementById('{menu}'); menu.value = '{value}';
menu.dispatchEvent(new Event('change')); return menu.value; }})()"""
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "store"
    return evaluation_pages.evaluation_report(evaluation_pages.write_page_store(folder))


def run_report() -> RunReport:
    image = np.full((64, 64), 90, dtype=np.uint8)
    example = BoxExample("carina", Box(0, 0, 0.5, 0.5), Box(0.1, 0, 0.5, 0.5), "words", "truth")
    answer = ModelAnswer("Answer", "b" * 400, False, "1 of 2 right")
    columns = ("system", *(f"a score with a long name {number}" for number in range(14)))
    return RunReport(
        title="Run",
        summary=("One sentence. " * 20,),
        charts=(Chart("Loss", (Curve("cap", ((0, 9.0), (10, 3.5)), True),)),),
        tables=(Table("Scores", columns, (("lapse", *["0.123 [0.100, 0.200]"] * 14),)),),
        pairs=(PairExample(image, image, "what?", "a " * 40, (answer,)),),
        grounding=(GroundingExample(image, "image", (example,)),),
        provenance={"command": "lapse demo " + "x" * 200},
    )


def verify_report() -> VerifyReport:
    findings = Findings()
    for number in range(20):
        findings.add("missing-image", f"{number}" * 100)
    roots = (("MIMIC-CXR", "/data/" + "x" * 200),)
    return VerifyReport(roots, False, False, findings.defects(), (), ("pixels were not decoded",))


@pytest.mark.parametrize("kind", ["evaluation", "run", "verify", "answer"])
def test_page_fits_wide_and_narrow_screens_in_both_color_schemes(kind, report, tmp_path):
    path = tmp_path / "page.html"
    if kind == "evaluation":
        text = render_evaluation_report(report)
    elif kind == "run":
        text = render_run_report(run_report())
    elif kind == "answer":
        text = comparison().page()
    else:
        text = render_verify_page(verify_report())
    path.write_text(text, encoding="utf-8")
    with browser.Browser(tmp_path / "profile") as chromium:
        backgrounds = set()
        for width in (1280, 390):
            for scheme in ("light", "dark"):
                chromium.open(path, width=width, color_scheme=scheme)
                assert chromium.run("document.documentElement.scrollWidth") <= width
                backgrounds.add(chromium.run(BACKGROUND))
        assert len(backgrounds) == 2
        assert chromium.errors == []


def test_filters_narrow_cases_and_answers(report, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(render_evaluation_report(report), encoding="utf-8")
    rows = report.predictions
    with browser.Browser(tmp_path / "profile") as chromium:
        chromium.open(page)
        sizes = chromium.run("Array.from(document.images, (e) => e.complete && e.naturalWidth)")
        assert sizes == [tiny_store.SIDE] * 24
        assert chromium.run(f"{SHOWN_CASES}.length") == 12
        assert chromium.run(NUM_ROWS) == 24
        assert chromium.run("document.querySelector('#rows td:nth-child(3)').children.length") == 0

        chosen = CHOOSE.format(menu="kind", value="hallucinated")
        assert chromium.run(chosen) == "hallucinated"
        errors = chromium.run(f"{SHOWN_CASES}.map((e) => e.dataset.errors)")
        assert 0 < len(errors) < 12 and all('"hallucinated"' in text for text in errors)
        num_hallucinated = sum("hallucinated" in error_kinds(item) for item in rows)
        assert chromium.run(NUM_ROWS) == num_hallucinated

        chromium.run(CHOOSE.format(menu="finding", value="hernia"))
        num_both = sum("hernia" in error_kinds(item).get("hallucinated", ()) for item in rows)
        assert 0 < num_both < num_hallucinated
        assert chromium.run(NUM_ROWS) == num_both
        count = chromium.run("document.getElementById('count').textContent")
        assert count.endswith(f"{num_both} of 24 answers")

        chromium.run(CHOOSE.format(menu="kind", value=""))
        assert chromium.run(NUM_ROWS) == sum("hernia" in findings_of(item) for item in rows)
        chromium.run(CHOOSE.format(menu="kind", value="all right"))
        errors = chromium.run(f"{SHOWN_CASES}.map((e) => e.dataset.errors)")
        assert set(errors) == {"[]"}
        chromium.run("document.getElementById('clear').click()")
        assert chromium.run(f"{SHOWN_CASES}.length") == 12

        display = "getComputedStyle(document.querySelector('.boxes')).display"
        assert chromium.run("document.querySelectorAll('.boxes rect').length") > 0
        assert chromium.run(display) != "none"
        chromium.run("document.getElementById('boxes').click()")
        assert chromium.run(display) == "none"
        assert chromium.errors == []


PRESS = """document.getElementById('viewer').querySelector('.frame').dispatchEvent(
new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}}))"""
SHOWN = "document.querySelector('#viewer .overlay:not(.behind)').dataset.title"
WIDTH = "document.querySelector('#viewer .stage').offsetWidth"
IS_OPEN = "document.getElementById('viewer').open"
TITLE = "document.querySelector('#viewer .title').textContent"


@pytest.mark.parametrize("width", [1280, 390])
def test_images_are_enlarged_and_changed_with_the_keyboard(report, tmp_path, width):
    page = tmp_path / "page.html"
    page.write_text(render_evaluation_report(report), encoding="utf-8")
    with browser.Browser(tmp_path / "profile") as chromium:
        chromium.open(page, width=width)
        card = chromium.run("document.querySelector('.case img').offsetWidth")
        chromium.run("document.querySelector('button.enlarge').click()")
        assert chromium.run(IS_OPEN) and chromium.run(SHOWN) == "reference"
        side = chromium.run(WIDTH)
        assert side >= card and side >= 340
        for key, expected in ((" ", "main"), (" ", "reference")):
            chromium.run(PRESS.format(key=key))
            assert chromium.run(SHOWN) == expected
        chromium.run(PRESS.format(key="+"))
        assert chromium.run(WIDTH) == pytest.approx(1.5 * side, abs=2)
        chromium.run(PRESS.format(key="0"))
        assert chromium.run(WIDTH) == side
        first = chromium.run(TITLE)
        chromium.run(PRESS.format(key="n"))
        assert chromium.run(TITLE) != first
        chromium.run(PRESS.format(key="f"))
        pressed = "document.querySelector('[data-do=flicker]').getAttribute('aria-pressed')"
        assert chromium.run(pressed) == "true"
        chromium.run("document.querySelector('[data-do=close]').click()")
        assert not chromium.run(IS_OPEN)
        assert chromium.run("document.activeElement.className") == "enlarge"
        assert chromium.errors == []


def test_tables_and_answers_are_saved_as_csv(report, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(render_evaluation_report(report), encoding="utf-8")
    catch = (
        "(() => { window.texts = [];"
        " window.Blob = function (parts) { texts.push(parts.join('')); };"
        " URL.createObjectURL = () => '#'; URL.revokeObjectURL = () => {};"
        " return document.querySelectorAll('button.save').length; })()"
    )
    with browser.Browser(tmp_path / "profile") as chromium:
        chromium.open(page)
        num_tables = chromium.run("document.querySelectorAll('table.scores').length")
        assert chromium.run(catch) == num_tables > 0
        chromium.run("document.querySelector('button.save').click()")
        chromium.run("document.getElementById('save').click()")
        table, answers = (text.splitlines() for text in chromium.run("window.texts"))
        columns = ("score", "meaning", "better", "this system", "constant answer")
        assert table[0].lstrip("\ufeff") == ",".join(f'"{name}"' for name in columns)
        assert len(answers) == 1 + len(report.predictions)
        assert chromium.errors == []


def test_boxes_are_labelled_as_regions(report, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(render_evaluation_report(report), encoding="utf-8")
    with browser.Browser(tmp_path / "profile") as chromium:
        chromium.open(page)
        labels = "Array.from(document.querySelectorAll('.boxes text'), (e) => e.textContent)"
        assert set(chromium.run(labels)) == {"right lung", "carina"}
        inside = (
            "Array.from(document.querySelectorAll('.boxes text'), (e) => { const t = "
            "e.getBoundingClientRect(), b = e.closest('svg').getBoundingClientRect();"
            " return t.right <= b.right + 1 && t.left >= b.left - 1; }).every(Boolean)"
        )
        assert chromium.run(inside)


def test_films_and_regions_of_an_answer_are_drawn(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(comparison().page(), encoding="utf-8")
    with browser.Browser(tmp_path / "profile") as chromium:
        for width in (1280, 390):
            chromium.open(page, width=width)
            sizes = chromium.run("Array.from(document.images, (e) => e.complete && e.naturalWidth)")
            assert sizes == [60, 60]
            edges = chromium.run(
                "(() => { const box = document.querySelector('rect').getBoundingClientRect();"
                " const film = document.images[1].getBoundingClientRect();"
                " return [(box.left - film.left) / film.width,"
                " (box.bottom - film.top) / film.height];"
                " })()"
            )
            assert np.allclose(edges, (0.1, 0.9), atol=0.02)  # half of a line
        assert chromium.errors == []


def test_errors_of_a_page_are_detected(tmp_path):
    """Guards the tests above: a broken page must not pass."""
    page = tmp_path / "broken.html"
    page.write_text(
        "<!doctype html><title>x</title><img src='absent.png'><script>console.error('a');"
        "throw new Error('b')</script>",
        "utf-8",
    )
    with browser.Browser(tmp_path / "profile") as chromium:
        chromium.open(page)
        errors = " ".join(chromium.errors)
        assert "console:" in errors and "thrown:" in errors and "not loaded:" in errors
        assert chromium.run("document.images[0].naturalWidth") == 0
