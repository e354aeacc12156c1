import asyncio

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from lapse.serve.access import Access
from lapse.serve.app import add_error_handlers
from lapse.serve.errors import ERRORS, ServiceError
from lapse.serve.gate import SECURITY_HEADERS, Gate
from lapse.serve.limits import Limits
from lapse.serve.uploads import Uploads

LIMITS = Limits(film_bytes=1000, json_bytes=100)
CANARY = "CANARY"


async def fail(request):
    raise RuntimeError(CANARY)


def gate():
    uploads = Uploads(LIMITS)
    app = Starlette(
        routes=[
            Route("/api/films", fail, methods=["POST"]),
            Route("/api/films/{film}", fail, methods=["GET", "DELETE"]),
            Route("/api/comparisons", fail, methods=["POST"]),
            Route("/", fail),
        ]
    )
    add_error_handlers(app)
    return Gate(app, Access(frozenset([b"h:1"])), LIMITS, uploads)


def scope(method="POST", path="/api/films", query=b"", **headers):
    named = {"host": "h:1", "content-type": "image/png", "content-length": "5", **headers}
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [
            (name.replace("_", "-").encode(), value.encode())
            for name, value in named.items()
            if value is not None
        ],
    }


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"content-length": "1001"}, "body-too-large"),
        ({"content-length": "9" * 400}, "body-too-large"),
        ({"content-length": "-1"}, "length-required"),
        ({"content-length": "٣"}, "length-required"),
        ({"content-length": None}, "length-required"),
        ({"transfer-encoding": "chunked"}, "length-required"),
        ({"content-type": "text/html"}, "unsupported-media-type"),
        ({"content-type": None}, "unsupported-media-type"),
        ({"content-type": "multipart/form-data; boundary=x"}, "unsupported-media-type"),
        ({"content-encoding": "gzip"}, "unsupported-media-type"),
        ({"path": "/api/comparisons"}, "unsupported-media-type"),
        ({"path": "/api/comparisons", "content-length": "101"}, "body-too-large"),
        ({"method": "GET"}, "method-not-allowed"),
        ({"method": "PUT"}, "method-not-allowed"),
        ({"method": "GET", "path": "/api/films/x"}, "bad-request"),
        ({"method": "DELETE", "path": "/api/films/x"}, "bad-request"),
        ({"path": "/api/nothing"}, "not-found"),
        ({"x-a": "a" * 20_000}, "headers-too-large"),
        ({"query": b"a=b"}, "bad-request"),
        ({"path": "/api//films"}, "not-found"),
        ({"path": "/api/../films"}, "not-found"),
        ({"path": "/api/fil%00ms"}, "not-found"),
        ({"path": "/api/films\\x"}, "not-found"),
        ({"host": "evil"}, "wrong-host"),
    ],
)
def test_a_request_is_refused(values, code):
    with pytest.raises(ServiceError) as refused:
        gate().check(scope(**values))
    assert refused.value.code == code


def test_a_film_and_a_plain_get_may_pass():
    assert gate().check(scope()) == 5
    length = {"content-length": None, "content-type": None}
    assert gate().check(scope("GET", "/", **length)) == 0


def test_an_exception_is_an_error_without_its_text(caplog):
    sent = []

    async def send(message):
        sent.append(message)

    length = {"content-length": None, "content-type": None}
    asyncio.run(gate()(scope("GET", "/", **length), None, send))
    assert sent[0]["status"] == 500
    names = {name.decode() for name, _ in sent[0]["headers"]}
    assert {name.lower() for name in SECURITY_HEADERS} <= names
    assert b'"internal"' in sent[1]["body"]
    assert CANARY not in str(sent) + caplog.text


def test_the_page_may_load_its_own_files_only():
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy


def test_every_error_has_a_status_and_a_sentence():
    for code, kind in ERRORS.items():
        assert 400 <= kind.status < 600 and kind.message.endswith("."), code
