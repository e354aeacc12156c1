import asyncio
import json

import pytest

from lapse.serve.access import Access
from lapse.serve.app import build_app
from lapse.serve.limits import Limits
from lapse.serve.service import ServedModel, Service

TOKEN = "secret-token-of-the-test-0123456789abcdef"
FILM = "A" * 24
ROUTES = [
    ("POST", "/api/films"),
    ("GET", f"/api/films/{FILM}/picture"),
    ("DELETE", f"/api/films/{FILM}"),
    ("POST", "/api/comparisons"),
    ("POST", "/api/reports"),
    ("POST", "/api/timelines"),
    ("GET", "/api/service"),
]
WRONG = [
    None,
    "",
    "Bearer",
    "Bearer wrong",
    f"Basic {TOKEN}",
    TOKEN,
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    f"Bearer {TOKEN.upper()}",
    "Bearer " + "a" * 4000,
]

APP = build_app(Service(ServedModel(), Limits()), Access(frozenset([b"h:1"]), TOKEN.encode()))


def request(method, path, token=None, body=b""):
    """Status, headers and body of a response of the complete application."""
    headers = [(b"host", b"h:1")]
    if token is not None:
        headers.append((b"authorization", token.encode()))
    if body:
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": headers, "scheme": "http", "server": ("h", 1),
        "root_path": "",
    }  # fmt: skip
    sent = []

    async def run():
        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        await APP(scope, receive, send)

    asyncio.run(run())
    named = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], named, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_of_the_api_needs_the_token(method, path):
    for token in WRONG:
        status, headers, body = request(method, path, token)
        assert (status, json.loads(body)["error"]["code"]) == (401, "unauthorized"), token
        assert headers["www-authenticate"] == "Bearer"
        assert TOKEN.encode() not in body
    print(f"wrong tokens, {method} {path}: {len(WRONG)}/{len(WRONG)} refused")


def test_the_right_token_passes_and_pages_need_none():
    token = f"Bearer {TOKEN}"
    assert request("GET", ROUTES[1][1], token)[0] == 404
    body = json.dumps({"film": FILM}).encode()
    assert (
        request("POST", "/api/timelines", token, json.dumps({"films": [FILM]}).encode())[0] == 404
    )
    assert request("POST", "/api/timelines", token, body)[0] == 400
    for path in ("/", "/docs", "/openapi.json", "/health", "/static/app.js"):
        assert request("GET", path)[0] == 200


def test_the_page_and_its_files_are_served_with_their_types():
    assert request("GET", "/")[1]["content-type"].startswith("text/html")
    assert request("GET", "/static/app.js")[1]["content-type"].startswith("text/javascript")
    assert request("GET", "/static/style.css")[1]["content-type"].startswith("text/css")
    assert request("GET", "/static/limits.py")[0] == 404


def test_no_page_of_fastapi_is_served():
    for path in ("/redoc", "/docs/oauth2-redirect"):
        assert request("GET", path)[0] == 404
    assert b"cdn" not in request("GET", "/docs")[2]
