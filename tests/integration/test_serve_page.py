"""The page of `lapse serve` in a headless Chromium: films, answer, regions, keys, hostile names."""

import base64
import io
import json
import time

import numpy as np
import pytest
from pydicom import dcmread

import browser
import phantom_films
import small_files as small
import tiny_runs
from running_service import RunningService

pytestmark = pytest.mark.skipif(browser.find_browser() is None, reason="needs Chromium")
SCRIPT = "<img src=x onerror=window.attacked=1>"
STATE = "document.querySelector('#answer').dataset.state"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with RunningService(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser.Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def page(service, chromium):
    chromium.errors.clear()
    chromium.open_url(f"{service.url}/")
    wait(chromium, "document.querySelector('#trained')?.textContent.includes('simulated')")
    return chromium


def wait(page, code, seconds=90):
    deadline = time.monotonic() + seconds
    while not page.run(code):
        assert time.monotonic() < deadline, (code, page.run("document.body.innerText"), page.errors)
        time.sleep(0.05)


def drop(page, files, target="document.body"):
    """Drop files, as a user does."""
    encoded = [[name, base64.b64encode(data).decode()] for name, data in files]
    page.run(
        "(() => { const transfer = new DataTransfer();"
        f"for (const [name, data] of {json.dumps(encoded)})"
        "transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name));"
        f"{target}.dispatchEvent(new DragEvent('drop', {{ dataTransfer: transfer, bubbles: true,"
        "cancelable: true })); })()"
    )


def press(page, key):
    page.run(
        f"document.body.dispatchEvent(new KeyboardEvent('keydown', {{ key: {json.dumps(key)},"
        "bubbles: true, cancelable: true }))"
    )


def errors(page, service):
    """Errors of the console, and requests to other hosts; not those that a new page cancels."""
    harmless = (f"request to {service.url}", "net::ERR_ABORTED")
    return [text for text in page.errors if not any(part in text for part in harmless)]


def regions(page):
    return page.run(
        "Array.from(document.querySelectorAll('.pane:not([hidden]) rect'),"
        "(rect) => [rect.closest('.pane').dataset.shown, rect.dataset.finding])"
    )


def pixels(page, role):
    return page.run(f"document.querySelector('.pane[data-role=\"{role}\"] canvas').toDataURL()")


def test_two_dropped_films_give_an_answer_with_regions_and_keys(page, service):
    films = phantom_films.films()
    drop(page, [("a.dcm", films[0])], "document.querySelector('.drop[data-role=\"reference\"]')")
    assert page.run("document.querySelector('#work').hidden")
    drop(page, [("b.dcm", films[1])], "document.querySelector('.drop[data-role=\"main\"]')")
    wait(page, f"{STATE} === 'answered'")
    answer = page.run("document.querySelector('.sentence').textContent")
    assert "current film" in answer and "prior film" in answer
    assert page.run("document.querySelector('.confidence').textContent")
    assert "not a medical device" in page.run("document.querySelector('.research').textContent")
    wait(page, "document.querySelectorAll('.report').length === 2")
    wait(page, "!document.querySelector('.reports').textContent.includes('…')")
    # regions on demand: by click, by number, all of them
    assert regions(page) == []
    page.run("document.querySelector('button.change').click()")
    (region,) = regions(page)
    finding = page.run("document.querySelector('button.change').dataset.finding")
    assert region == ["main", finding] or region == ["reference", finding]
    press(page, "1")
    assert regions(page) == []
    press(page, "b")
    shown = page.run("document.querySelectorAll('button.change').length")
    assert len(regions(page)) == shown > 0  # no change of level here, which has two regions
    # views
    before = pixels(page, "main")
    press(page, "i")
    assert pixels(page, "main") != before
    press(page, "i")
    press(page, "+")
    assert page.run("document.querySelector('#zoom').textContent") == "130%"
    press(page, "r")
    assert pixels(page, "main") == before
    press(page, "d")
    assert page.run("document.querySelector('#work').dataset.mode") == "difference"
    assert pixels(page, "main") != before and "registered" in page.run(
        "document.querySelector('#legend').textContent"
    )
    press(page, "s")
    press(page, " ")
    shown = page.run("document.querySelector('.pane:not([hidden])').dataset.shown")
    press(page, " ")
    assert {shown, page.run("document.querySelector('.pane:not([hidden])').dataset.shown")} == {
        "main",
        "reference",
    }
    press(page, "f")
    wait(page, f"document.querySelector('.pane:not([hidden])').dataset.shown === '{shown}'")
    press(page, "?")
    assert page.run("document.querySelector('#keys').open")
    page.run("document.querySelector('#keys').close()")
    press(page, "l")
    assert page.run("document.documentElement.dataset.theme") == "light"
    press(page, "l")
    # reversed films are refused by a check, and answered on demand only
    press(page, "x")
    wait(page, f"{STATE} === 'refused'")
    assert "later than" in page.run("document.querySelector('#answer').textContent")
    press(page, "n")
    assert not page.run("document.querySelector('#intake').hidden")
    wait(page, "document.querySelector('#work').hidden")
    logged = [text for text in errors(page, service) if "422" not in text]
    assert logged == []


def test_films_of_a_folder_become_a_timeline(page, service):
    films = phantom_films.films()
    files = [("10.dcm", films[1]), ("9.dcm", films[2]), ("8.dcm", films[0]), ("notes.txt", b"text")]
    drop(page, files)
    wait(page, "document.querySelectorAll('#timeline .film').length === 3")
    wait(page, "!document.querySelector('#timeline').textContent.includes('…')", 120)
    names = "Array.from(document.querySelectorAll('#timeline .name'), (item) => item.textContent)"
    assert page.run(names) == ["8.dcm", "10.dcm", "9.dcm"]
    text = page.run("document.querySelector('#timeline').textContent")
    assert "1 day →" in text and "6 days →" in text and phantom_films.DAYS == [1, 6]
    assert "notes.txt" in page.run("document.querySelector('#skipped').textContent")
    press(page, "]")
    wait(page, f"{STATE} === 'answered'")
    assert page.run("document.querySelectorAll('#timeline .pair')[1].ariaCurrent") == "true"


def test_hostile_names_and_tags_are_shown_as_text(page, service):
    data = dcmread(io.BytesIO(phantom_films.films()[0]))
    data.PatientName = "<script>attacked()</script>"
    for name in ("PatientID", "StudyDescription", "InstitutionName"):
        setattr(data, name, SCRIPT)
    buffer = io.BytesIO()
    data.save_as(buffer)
    names = [f"{SCRIPT}.dcm", '"><script>attacked=1</script>.png', "{{7*7}}${7*7}.png"]
    damaged = [(names[1], b"no film"), (names[2], small.png(np.zeros((40, 40))))]
    files = [(names[0], buffer.getvalue()), ("b.dcm", buffer.getvalue()), *damaged]
    drop(page, files)
    wait(page, f"['answered', 'refused'].includes({STATE})")
    page.run("document.querySelector('#viewer').scrollIntoView()")
    assert page.run("window.attacked === undefined && !document.querySelector('img, main script')")
    shown = page.run("document.querySelector('.pane .name').textContent")
    skipped = page.run("document.querySelector('#skipped').textContent")
    assert shown == names[0] or shown == "b.dcm"
    assert all(name in skipped for name in names[1:])
    assert not any("Content Security Policy" in text for text in errors(page, service))
    assert SCRIPT not in service.log


def test_a_service_with_options_names_them(chromium, tmp_path):
    run = tiny_runs.write(tmp_path)[1]
    options = [str(run), "--allow-unusual", "--unguarded"]
    with RunningService(tmp_path / "service", options) as service:
        chromium.open_url(f"{service.url}/")
        wait(chromium, "!document.querySelector('#options').hidden")
        text = chromium.run("document.querySelector('#options').textContent")
        assert "an input check refuses" in text and "not guarded" in text
        films = phantom_films.films()
        drop(chromium, [("b.dcm", films[1])], "document.querySelector('[data-role=\"reference\"]')")
        drop(chromium, [("a.dcm", films[0])], "document.querySelector('.drop[data-role=\"main\"]')")
        wait(chromium, f"{STATE} === 'answered'")
        assert "later than" in chromium.run("document.querySelector('.notice.check').textContent")


def test_the_policy_stops_inline_code(page, service):
    """What the page would do if a name became code."""
    page.run(
        "(() => { const code = document.createElement('p'); "
        f"try {{ code.innerHTML = {json.dumps(SCRIPT)}; document.body.append(code); }}"
        "catch { window.stopped = 1; } })()"
    )
    assert page.run("window.stopped === 1 && window.attacked === undefined")
    inline = (
        "(() => { const code = document.createElement('script'); try { code.text = 'attacked=1';"
    )
    page.run(inline + "document.body.append(code); } catch { window.stopped = 2; } })()")
    assert page.run("window.stopped === 2 && window.attacked === undefined")


def test_the_page_fits_wide_and_narrow_screens(service, chromium):
    chromium.errors.clear()
    widths = []
    for path in ("/", "/docs"):
        for width in (1280, 390):
            chromium.open_url(service.url + path, width=width)
            widths.append(chromium.run("document.documentElement.scrollWidth <= innerWidth"))
            background = chromium.run("getComputedStyle(document.body).backgroundColor")
            assert background == "rgb(13, 16, 19)"  # dark by default
    assert widths == [True] * 4
    assert errors(chromium, service) == []
