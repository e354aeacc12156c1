"""The evaluation page in a browser: no console error, images load, filters work; and its words."""

import json
from dataclasses import replace

import numpy as np
import pytest

import browser
import tiny_store
from lapse.core.grammar import Change, render
from lapse.core.types import Box, Prediction, Region
from lapse.data.store.store import open_store
from lapse.data.store.writer import Origin, write_store
from lapse.evaluation.html import Evaluation, read_scores, render_evaluation, write_evaluation
from lapse.evaluation.html.case_selection import choose_cases, findings_of, places_of, states
from lapse.metrics.abstention import Threshold
from lapse.metrics.confidence import BEAM, change_key
from lapse.metrics.error_types import error_kinds

needs_browser = pytest.mark.skipif(browser.find_browser() is None, reason="no Chromium here")
EDEMA, HERNIA = Change("edema", "added"), Change("hernia", "missing")
LEVEL = Change("pneumonia", "level", "mild", "severe")
SAID = ([EDEMA], [HERNIA], [], [EDEMA, HERNIA], [LEVEL])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Every pair of the tiny store, with answers that the grammar reads and regions with boxes."""
    studies = [
        replace(
            study,
            regions=(
                Region("right lung", ("There is edema.", "No hernia."), Box(0.1, 0.1, 0.5, 0.9)),
                Region("carina", ("Mild edema.",), Box(0.4, 0.4, 0.6, 0.6)),
            ),
        )
        for study in tiny_store.studies()
    ]
    pairs = [
        replace(pair, answer=render(SAID[number % len(SAID)]))
        for number, pair in enumerate(tiny_store.pairs(studies))
    ]
    folder = tmp_path_factory.mktemp("page") / "store"
    write_store(
        folder,
        [(study, tiny_store.pixels(study.image)) for study in studies],
        pairs,
        size=tiny_store.SIDE,
        origin=Origin("patient-safe", "0" * 16, "invented", "none", "random pixels"),
    )
    return open_store(folder)


def predictions(store) -> list[Prediction]:
    """One answer per pair: right, or that of another pair, or no sentence at all."""
    rows = []
    for number, pair in enumerate(store.pairs):
        said = list(SAID[(number + number % 3) % len(SAID)])
        sure = {BEAM + change_key(change): (number % 10) / 10 for change in said}
        rows.append(
            Prediction(
                id=f"diff_vqa/{pair.id}",
                task="diff_vqa",
                prediction="<script>alert(1)</script>" if number == 7 else render(said),
                references=(pair.answer,),
                patient=pair.main.patient,
                prompt=pair.question,
                confidence=sure | {"answer": (number % 10) / 10},
            )
        )
    return rows


SCORES = {
    "provenance": {"n": "24", "data release": "invented"},
    "scores": {
        "diff_vqa": {
            "exact match": {"value": 0.5, "low": 0.4, "high": 0.6},
            "edema F1": {"value": 0.5, "low": 0.2, "high": 0.7},
            "odd": {"value": "none"},
        },
        "consistency": {"swap law": {"value": 0.25}},
    },
    "beside": {"constant answer": {"diff_vqa": {"exact match": {"value": 0.125}}}},
    "subgroups": {"view": {"PA": {"exact match": {"value": 0.75}}, "AP": {"note": "hidden"}}},
}


@pytest.fixture(scope="module")
def evaluation(store):
    return Evaluation(
        title="Page <1>",
        predictions=predictions(store),
        scores=SCORES,
        store=store,
        threshold=Threshold("beam", 0.1, 0.5, 99, 200, 0.08),
        cases=12,
    )


def test_the_page_says_what_it_must(evaluation):
    text = render_evaluation(evaluation)
    assert "Research use only" in text and "Page &lt;1&gt;" in text
    assert "12 of 24 answers: the worst, the best" in text
    assert "0.500 [0.400, 0.600]" in text and "0.125" in text and "0.250" in text
    assert "<caption>view</caption>" in text and "0.750" in text
    assert "at most 10% of a patient&#x27;s answers" in text and "undecided at this" in text
    assert text.count("data:image/jpeg;base64,") == 24
    for address in ("http://", "https://", 'src="/', "@import", "url("):
        assert address not in text
    assert "<script>alert" not in text


def test_scores_of_any_other_shape_do_no_harm(evaluation):
    for scores in (
        {},
        {"scores": 3, "beside": []},
        {"scores": {"x": {"y": 1}}, "subgroups": {"a": 1}},
    ):
        text = render_evaluation(replace(evaluation, scores=scores))
        assert "<h2>Cases</h2>" in text


def test_without_store_or_sureness_it_is_a_page_of_words(evaluation):
    plain = [replace(item, confidence={}) for item in evaluation.predictions]
    text = render_evaluation(replace(evaluation, predictions=plain, store=None, threshold=None))
    assert "data:image" not in text and "they need the store" in text
    assert "Can its sureness be trusted" not in text


def test_another_task_alone_has_no_cases():
    rows = [Prediction("caref/i/spine", "caref", "[1, 2, 3, 4]", ("[1, 2, 3, 4]",), "p")]
    text = render_evaluation(Evaluation("t", rows))
    assert "1 answers (1 of caref)" in text and "<script" not in text
    with pytest.raises(ValueError, match="at least one prediction"):
        render_evaluation(Evaluation("t", []))


def test_cases_are_the_worst_the_best_and_one_of_everything(evaluation):
    rows = evaluation.predictions
    cases = choose_cases(rows, count=12, sure=lambda item: item.confidence["answer"])
    assert len({case.item.id for case in cases}) == len(cases) <= 12
    worst = [case for case in cases if case.shown_as == "worst"]
    best = [case for case in cases if case.shown_as == "best"]
    assert len(worst) == 6 and all(case.errors for case in worst)
    assert len(best) == 3 and not any(case.errors for case in best)
    of_patient = [case.item.patient for case in worst]
    assert max(of_patient.count(name) for name in of_patient) <= 2
    assert "unparsed" in {kind for case in cases for kind in case.errors}


def test_boxes_are_where_a_report_states_the_finding(store):
    places = places_of(store.studies[0], ("edema", "hernia"))
    assert [(place.finding, place.region) for place in places] == [
        ("edema", "carina"),
        ("edema", "right lung"),
    ]
    assert states("Mild edema.", "edema") and not states("Edema has resolved.", "edema")


def test_thousands_of_answers_stay_a_small_page(store):
    rows = predictions(store)
    many = [
        replace(rows[number % len(rows)], id=f"diff_vqa/{number}", patient=f"p{number}")
        for number in range(3200)
    ]
    text = render_evaluation(Evaluation("t", many, store=store))
    assert len(text) < 3_000_000
    assert "The first 3000 of 3200 answers." in text


def test_scores_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="no scores file"):
        read_scores(tmp_path / "s.json")
    for text, message in (("{", "is not JSON"), ("[1]", "is no scores file: it holds list")):
        (tmp_path / "s.json").write_text(text, "utf-8")
        with pytest.raises(ValueError, match=message):
            read_scores(tmp_path / "s.json")
    (tmp_path / "s.json").write_text(json.dumps(SCORES), "utf-8")
    assert read_scores(tmp_path / "s.json") == SCORES


SHOWN = "Array.from(document.querySelectorAll('article.case')).filter((one) => !one.hidden)"
CHOOSE = """(() => {{ const menu = document.getElementById('{menu}'); menu.value = '{value}';
menu.dispatchEvent(new Event('change')); return menu.value; }})()"""


@needs_browser
def test_in_a_browser(evaluation, tmp_path):
    page = write_evaluation(tmp_path / "page.html", evaluation)
    rows = list(evaluation.predictions)
    with browser.Browser(tmp_path / "profile") as chromium:
        chromium.open(page)
        assert chromium.errors == []
        loaded = chromium.run(
            "Array.from(document.images).map((one) => one.complete && one.naturalWidth)"
        )
        assert loaded == [tiny_store.SIDE] * 24
        assert chromium.run(f"{SHOWN}.length") == 12
        assert chromium.run("document.querySelectorAll('#rows tr').length") == 24
        assert chromium.run("document.querySelector('#rows td:nth-child(3)').children.length") == 0

        chosen = CHOOSE.format(menu="kind", value="hallucinated")
        assert chromium.run(chosen) == "hallucinated"
        errors = chromium.run(f"{SHOWN}.map((one) => one.dataset.errors)")
        assert 0 < len(errors) < 12 and all("hallucinated:" in text for text in errors)
        made_up = sum("hallucinated" in error_kinds(item) for item in rows)
        assert chromium.run("document.querySelectorAll('#rows tr').length") == made_up

        chromium.run(CHOOSE.format(menu="finding", value="hernia"))
        both = sum("hernia" in error_kinds(item).get("hallucinated", ()) for item in rows)
        assert 0 < both < made_up
        assert chromium.run("document.querySelectorAll('#rows tr').length") == both
        counted = chromium.run("document.getElementById('count').textContent")
        assert counted.endswith(f"{both} of 24 answers")

        chromium.run(CHOOSE.format(menu="kind", value=""))
        named = sum("hernia" in findings_of(item) for item in rows)
        assert chromium.run("document.querySelectorAll('#rows tr').length") == named
        chromium.run(CHOOSE.format(menu="kind", value="all right"))
        marks = chromium.run(f"{SHOWN}.map((one) => one.dataset.errors).join('')")
        assert marks == ""
        chromium.run("document.getElementById('clear').click()")
        assert chromium.run(f"{SHOWN}.length") == 12

        boxes = "getComputedStyle(document.querySelector('.boxes')).display"
        assert chromium.run("document.querySelectorAll('.boxes rect').length") > 0
        assert chromium.run(boxes) != "none"
        chromium.run("document.getElementById('boxes').click()")
        assert chromium.run(boxes) == "none"

        for width in (1400, 360):  # no sideways scrolling of the page itself
            chromium.open(page, width=width)
            assert chromium.run("document.documentElement.scrollWidth") <= width
        assert chromium.errors == []


@needs_browser
def test_the_browser_sees_what_is_wrong(tmp_path):
    """The guard of the test above: a broken page does not pass it."""
    page = tmp_path / "broken.html"
    page.write_text(
        "<!doctype html><title>x</title><img src='absent.png'><script>console.error('a');"
        "throw new Error('b')</script>",
        "utf-8",
    )
    with browser.Browser(tmp_path / "profile") as chromium:
        chromium.open(page)
        told = " ".join(chromium.errors)
        assert "console:" in told and "thrown:" in told and "not loaded:" in told
        assert chromium.run("document.images[0].naturalWidth") == 0


def test_pixels_are_only_made_smaller():
    from lapse.evaluation.html.elements import MAX_SIDE, photo_html

    small, large = (photo_html(np.zeros((side, side), np.uint8), "x") for side in (8, 2 * MAX_SIDE))
    assert len(small) < len(large) < 20_000
