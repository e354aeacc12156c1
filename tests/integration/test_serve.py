"""`lapse serve` as a process: the client of the documentation, attacks, canaries."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import lapse
import phantom_films
import small_files as small
import tiny_runs
from lapse.serve.api_page import CLIENT
from lapse.serve.errors import ERRORS
from running_service import RunningService, parsed

REFLECTED = "R3FL3CT3D"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with RunningService(tmp_path_factory.mktemp("service")) as running:
        yield running


def test_the_client_of_the_documentation_prints_the_answer(service, tmp_path):
    for name, film in zip(("earlier.png", "later.png"), phantom_films.pictures(), strict=False):
        (tmp_path / name).write_bytes(film)
    code = CLIENT.replace("8000", str(service.port))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("the main image")


def test_an_answer_states_model_training_data_checks_and_research_use(service):
    names = [service.send(film) for film in phantom_films.films()[:2]]
    answer = service.compare(*names).json
    assert "not a medical device" in answer["research_use"]
    assert "simulated patients" in answer["trained_on"]
    assert answer["changes"] and answer["regions"] and answer["input_checks"] == []
    assert answer["model"]["model"]
    report = service.request("POST", "/api/reports", {"film": names[0]}).json
    assert report["report"] and "simulated patients" in report["trained_on"]
    assert "not a medical device" in report["research_use"] and "input_checks" in report


def test_the_answer_is_that_of_the_command_line(service, tmp_path):
    paths = [tmp_path / "a.dcm", tmp_path / "b.dcm"]
    for path, film in zip(paths, phantom_films.films(), strict=False):
        path.write_bytes(film)
    expected = lapse.load(device="cpu").compare(*paths).to_dict()
    answer = service.compare(*(service.send(path.read_bytes()) for path in paths)).json
    for values in (expected, answer):
        values.pop("films")
    answer.pop("pair")
    assert answer == expected


def test_films_of_a_folder_are_ordered_by_their_dates(service):
    order = [2, 0, 1]
    names = [service.send(phantom_films.films()[number]) for number in order]
    timeline = service.request("POST", "/api/timelines", {"films": names}).json
    assert timeline["films"] == [names[order.index(number)] for number in range(3)]
    assert (timeline["days"], timeline["is_dated"]) == (phantom_films.DAYS, True)


def test_films_that_a_check_refuses_are_answered_on_demand_only(service):
    reference, main = (service.send(film) for film in phantom_films.films()[:2])
    refused = service.compare(main, reference)
    assert (refused.status, refused.code) == (422, "refused-input")
    assert [item["code"] for item in refused.json["error"]["input_checks"]] == ["order"]
    assert service.compare(main, reference, allow_unusual=True).status == 200


def test_a_service_that_allows_unusual_films_answers_them_with_a_warning(tmp_path):
    options = ["--allow-unusual", "--unguarded"]
    with RunningService(tmp_path, options) as service:
        facts = service.request("GET", "/api/service").json
        assert (facts["allow_unusual"], facts["guarded"]) == (True, False)
        assert "--allow-unusual" in service.log
        reference, main = (service.send(film) for film in phantom_films.films()[:2])
        answer = service.compare(main, reference).json
        assert [(item["code"], item["level"]) for item in answer["input_checks"]] == [
            ("order", "refused")
        ]
        assert answer["status"] == "unguarded" and answer["answer"] == answer["beam_answer"]


def test_a_run_folder_is_served_also_with_a_class_that_the_command_allows(tmp_path):
    run = tiny_runs.write(tmp_path)[1]
    path = "lapse.models.vqa.prefix_lm:PrefixLM"  # not a registered name
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("prefix_lm", path))
    python = ["-m", "lapse", "--allow", path]
    with RunningService(tmp_path / "service", [str(run)], python) as service:
        assert service.request("GET", "/api/service").json["has_reports"] is False
        names = [service.send(film) for film in phantom_films.pictures()[:2]]
        answer = service.compare(*names).json
        assert answer["model"]["model"].startswith("run ") and answer["regions"] == []
        assert service.request("POST", "/api/reports", {"film": names[0]}).code == "not-found"


def test_another_question_is_refused_with_the_list(service):
    name = service.send(phantom_films.films()[0])
    refused = service.compare(name, name, question=f"is {REFLECTED} there?")
    assert (refused.status, refused.code) == (422, "unknown-question")
    assert refused.json["error"]["questions"] and REFLECTED.encode() not in refused.body


def test_a_film_can_be_removed(service):
    name = service.send(small.png())
    assert service.request("DELETE", f"/api/films/{name}").status == 204
    assert service.request("GET", f"/api/films/{name}/picture").code == "unknown-film"


# (name, raw request, status). HOST is replaced by the right name.
HEAD = b" HTTP/1.1\r\nHost: HOST\r\n"
CLOSE = b"Connection: close\r\n"
JSON = b"Content-Type: application/json\r\n"
TYPE = b"Content-Type: application/octet-stream\r\n"
ID = b"A" * 24


def _post(path: bytes, body: bytes, kind: bytes = JSON, extra: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST " + path + HEAD + CLOSE + kind + length + extra + b"\r\n" + body


def _get(path: bytes, extra: bytes = b"", method: bytes = b"GET") -> bytes:
    return method + b" " + path + HEAD + CLOSE + extra + b"\r\n"


R = REFLECTED.encode()
PAIR = b'{"reference": "%s", "main": "%s"' % (ID, ID)
ATTACKS = [
    # names and pages
    ("no host", b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n", 400),
    ("no host in 1.0", b"GET /api/service HTTP/1.0\r\n\r\n", 421),
    ("another host", b"GET / HTTP/1.1\r\nHost: " + R + b".example\r\n" + CLOSE + b"\r\n", 421),
    ("host without a port", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + CLOSE + b"\r\n", 421),
    ("two hosts", _get(b"/api/service", b"Host: HOST\r\n"), 400),
    ("absolute target of another host", _get(b"http://evil.example/api/service"), 404),
    ("another origin", _get(b"/api/service", b"Origin: https://" + R + b"\r\n"), 403),
    ("null origin", _post(b"/api/films", b"x", TYPE, b"Origin: null\r\n"), 403),
    ("cross-site request", _get(b"/api/service", b"Sec-Fetch-Site: cross-site\r\n"), 403),
    ("same-site request", _get(b"/api/service", b"Sec-Fetch-Site: same-site\r\n"), 403),
    ("preflight", _get(b"/api/films", b"Origin: https://x.example\r\n", b"OPTIONS"), 403),
    ("preflight without an origin", _get(b"/api/films", method=b"OPTIONS"), 405),
    # paths
    ("unknown path", _get(b"/" + R), 404),
    ("parent folder", _get(b"/static/../app.py"), 404),
    ("encoded parent folder", _get(b"/static/%2e%2e/app.py"), 404),
    ("double encoding", _get(b"/static/%252e%252e%252fapp.py"), 404),
    ("backslashes", _get(b"/static/..\\app.py"), 404),
    ("null byte", _get(b"/static/app.js%00.css"), 404),
    ("absolute file", _get(b"/static//etc/passwd"), 404),
    ("hidden file", _get(b"/.git/config"), 404),
    ("file outside the list", _get(b"/static/app.py"), 404),
    ("path of 8 KB", _get(b"/" + b"a" * 8000), 404),
    ("target of 100 KB", _get(b"/" + b"a" * 100_000), 431),
    ("query", _get(b"/?" + R + b"=1"), 400),
    ("script in the path", _get(b"/<script>" + R + b"</script>"), 404),
    ("bytes beyond ASCII", _get(b"/\xff\xfe"), 400),
    # methods
    ("PUT", _get(b"/api/films", method=b"PUT"), 405),
    ("DELETE of the page", _get(b"/", method=b"DELETE"), 405),
    ("TRACE", _get(b"/", method=b"TRACE"), 405),
    ("CONNECT", _get(b"/", method=b"CONNECT"), 405),
    ("unknown method", _get(b"/api/service", method=R), 405),
    ("GET of the films", _get(b"/api/films"), 405),
    ("GET with a body", _get(b"/api/service", b"Content-Length: 3\r\n") + b"abc", 400),
    # framing
    ("not HTTP", R + b"\r\n\r\n", 400),
    ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 421),
    ("header of 100 KB", _get(b"/", b"X-A: " + b"a" * 100_000 + b"\r\n"), 431),
    ("10,000 headers", _get(b"/", b"X-A: 1\r\n" * 10_000), 431),
    ("header without a colon", _get(b"/", R + b"\r\n"), 400),
    ("folded header", _get(b"/api/service", b"X-A: b\r\n\tc\r\n"), 200),
    ("space before the colon", _get(b"/", b"X-A : b\r\n"), 400),
    ("two lengths", _post(b"/api/films", b"abc", TYPE, b"Content-Length: 4\r\n"), 400),
    ("length and chunks",
     _post(b"/api/films", b"abc", TYPE, b"Transfer-Encoding: chunked\r\n"), 411),
    ("chunks",
     b"POST /api/films" + HEAD + CLOSE + TYPE
     + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 411),
    ("unknown coding",
     _get(b"/api/films", TYPE + b"Transfer-Encoding: " + R + b"\r\n", b"POST"), 400),
    ("no length", _get(b"/api/films", TYPE, b"POST"), 411),
    ("negative length", _get(b"/api/films", TYPE + b"Content-Length: -5\r\n", b"POST"), 400),
    ("length in words", _get(b"/api/films", TYPE + b"Content-Length: ten\r\n", b"POST"), 400),
    ("length of 20 digits",
     _get(b"/api/films", TYPE + b"Content-Length: " + b"9" * 20 + b"\r\n", b"POST"), 413),
    ("film of 65 MB", _get(b"/api/films", TYPE + b"Content-Length: 68157440\r\n", b"POST"), 413),
    ("JSON of 1 MB", _post(b"/api/comparisons", b" " * (1 << 20)), 413),
    ("web socket",
     _get(b"/", b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n"), 200),
    # types
    ("form",
     _post(b"/api/comparisons", b"a=b",
     b"Content-Type: application/x-www-form-urlencoded\r\n"), 415),
    ("multipart",
     _post(b"/api/films", b"--x", b"Content-Type: multipart/form-data; boundary=x\r\n"), 415),
    ("text as JSON", _post(b"/api/comparisons", b"{}", b"Content-Type: text/plain\r\n"), 415),
    ("no type", _post(b"/api/films", b"abc", b""), 415),
    ("compressed body", _post(b"/api/films", b"abc", TYPE, b"Content-Encoding: gzip\r\n"), 415),
    # JSON
    ("empty JSON", _post(b"/api/comparisons", b""), 400),
    ("not JSON", _post(b"/api/comparisons", b"{" + R), 400),
    ("JSON list", _post(b"/api/comparisons", b"[]"), 400),
    ("deep JSON", _post(b"/api/comparisons", b"[" * 16_000), 400),
    ("JSON of another encoding", _post(b"/api/comparisons", "{}".encode("utf-16")), 400),
    ("broken UTF-8", _post(b"/api/comparisons", b'{"reference": "\xff"}'), 400),
    ("NaN", _post(b"/api/comparisons", b'{"reference": NaN}'), 400),
    ("unknown name", _post(b"/api/comparisons", PAIR + b', "' + R + b'": 1}'), 400),
    ("number for an id", _post(b"/api/comparisons", b'{"reference": 1, "main": 2}'), 400),
    ("text for a truth value",
     _post(b"/api/comparisons", PAIR + b', "allow_unusual": "yes"}'), 400),
    ("long question",
     _post(b"/api/comparisons", PAIR + b', "question": "' + b"a" * 301 + b'"}'), 400),
    ("path as an id", _post(b"/api/reports", b'{"film": "../../etc/passwd"}'), 400),
    ("unknown films", _post(b"/api/comparisons", PAIR + b"}"), 404),
    ("unknown film of a report", _post(b"/api/reports", b'{"film": "%s"}' % ID), 404),
    ("1,000 films of a timeline",
     _post(b"/api/timelines", b'{"films": [' + b"1," * 999 + b"1]}"), 400),
    ("no films of a timeline", _post(b"/api/timelines", b'{"films": []}'), 400),
    ("unknown picture", _get(b"/api/films/" + ID + b"/picture"), 404),
    ("id of another form", _get(b"/api/films/" + R + b"/picture"), 400),
    # films
    ("empty film", _post(b"/api/films", b"", TYPE), 422),
    ("text as a film", _post(b"/api/films", R * 100, TYPE), 422),
    ("script as a film",
     _post(b"/api/films", b"<script>" + R + b"</script>", b"Content-Type: image/png\r\n"), 422),
    ("ZIP archive", _post(b"/api/films", b"PK\x03\x04" + R, TYPE), 422),
    ("truncated PNG", _post(b"/api/films", small.png()[:-99], TYPE), 422),
    ("truncated JPEG", _post(b"/api/films", small.jpeg()[:-99], TYPE), 422),
    ("truncated DICOM", _post(b"/api/films", small.dicom()[:-999], TYPE), 422),
    ("CT slice",
     _post(b"/api/films", small.dicom(SOPClassUID="1.2.840.10008.5.1.4.1.1.2"), TYPE), 422),
    ("DICOM of many frames", _post(b"/api/films", small.dicom(NumberOfFrames=40), TYPE), 422),
]  # fmt: skip


def test_attacks_get_their_expected_codes(service):
    wrong = []
    for name, data, status in ATTACKS:
        data = data.replace(b"HOST", f"127.0.0.1:{service.port}".encode())
        received, body = parsed(service.raw(data))
        has_shape = received == 200 or re.match(rb'\{"error":\s*\{"code":', body)
        is_clean = (
            REFLECTED.encode() not in body and b"Traceback" not in body and b".py" not in body
        )
        if received != status or not has_shape or not is_clean:
            wrong.append((name, received, status, body[:200]))
    for item in wrong:
        print(item)
    print(f"attack requests {len(ATTACKS) - len(wrong)}/{len(ATTACKS)}")
    assert len(ATTACKS) >= 60 and not wrong, wrong
    assert REFLECTED not in service.log and "Traceback" not in service.log
    assert service.request("GET", "/health").json == {"status": "ok"}


def test_every_error_code_is_in_the_list(service):
    replies = [
        service.request("GET", "/nothing"),
        service.request("POST", "/api/films", b"text"),
        service.request("POST", "/api/films", small.png(small.picture() * 0)),
    ]
    assert all(reply.code in ERRORS for reply in replies)
    assert [reply.status for reply in replies] == [ERRORS[reply.code].status for reply in replies]


def test_a_port_in_use_is_one_sentence(service):
    done = subprocess.run(
        [sys.executable, "-m", "lapse", "serve", "--port", str(service.port)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "another --port" in done.stderr


def test_the_service_conforms_to_its_openapi_document(service):
    """Generated requests; a film of random bytes is refused, which is not an error here."""
    pytest.importorskip("schemathesis")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "run", f"{service.url}/openapi.json",
            "--phases", "examples,coverage,fuzzing", "--max-examples", "5", "--checks", "all",
            "--exclude-checks", "positive_data_acceptance", "--generation-deterministic",
            "--no-color", "--warnings", "off",
        ],
        capture_output=True, text=True, timeout=200, check=False, cwd=service.folder / "tmp",
    )  # fmt: skip
    print(re.search(r"\d+ generated.*", done.stdout).group())
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in service.log


def test_the_package_of_the_page_has_no_address_of_another_host():
    folder = Path(sys.modules["lapse.serve"].__file__).parent / "static"
    for path in folder.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|innerHTML|eval\(", text), path
