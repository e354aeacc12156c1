"""What every request passes before a route sees it, and the headers of every response."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from lapse.serve.access import Access
from lapse.serve.errors import ServiceError
from lapse.serve.limits import Limits
from lapse.serve.uploads import Uploads

logger = logging.getLogger(__name__)
API = "/api/"
FILMS = "/api/films"
JSON = "application/json"
FILM_TYPES = frozenset(("application/octet-stream", "application/dicom", "image/jpeg", "image/png"))
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_PATH = re.compile(rb"/[A-Za-z0-9._/-]*")


class Gate:
    """An ASGI application around the routes."""

    def __init__(self, app: Starlette, access: Access, limits: Limits, uploads: Uploads) -> None:
        self._app, self._access = app, access
        self._limits, self._uploads = limits, uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, answer, log."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0

        async def send_safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": with_security(message.get("headers", []))}
            await send(message)

        try:
            length = self.check(scope)
            if length and scope["path"] != FILMS:
                receive = _replay(await self._uploads.read_small(receive, length), receive)
            await self._app(scope, receive, send_safely)
        except ServiceError as error:
            if not status:
                await error_response(error)(scope, receive, send_safely)
        except Exception as error:  # its text may quote the request
            logger.error("%s while a request was answered", type(error).__name__)
            if not status:
                await error_response(ServiceError("internal"))(scope, receive, send_safely)
        milliseconds = 1000 * (time.perf_counter() - start)
        logger.info("%s %s %d, %.0f ms", *_shown(scope), status, milliseconds)

    def check(self, scope: Scope) -> int:
        """The length of the body of a request that may pass.

        Raises:
            ServiceError: it may not pass.
        """
        path, method = scope["path"], scope["method"]
        # everything before the body; h11 limits it only while it is incomplete
        head = [(scope["raw_path"], scope["query_string"]), *scope["headers"]]
        if sum(len(name) + len(value) for name, value in head) > self._limits.header_bytes:
            raise ServiceError("headers-too-large")
        code = self._access.refusal(scope["headers"], is_api=path.startswith(API))
        if code == "unauthorized":
            raise ServiceError(code, headers={"WWW-Authenticate": "Bearer"})
        if code is not None:
            raise ServiceError(code)
        if not _PATH.fullmatch(scope["raw_path"]) or "//" in path or "/." in path:
            raise ServiceError("not-found")
        self._check_route(scope)
        if scope["query_string"]:
            raise ServiceError("bad-request")
        headers = _single_headers(scope)
        has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        if method != "POST" or not path.startswith(API):
            if has_body:
                raise ServiceError("bad-request")
            return 0
        return self._check_body(path, headers)

    def _check_route(self, scope: Scope) -> None:
        matches = {route.matches(scope)[0]: route for route in self._app.routes}
        if Match.FULL in matches:
            return
        if Match.PARTIAL not in matches:
            raise ServiceError("not-found")
        allowed = ", ".join(sorted(getattr(matches[Match.PARTIAL], "methods", ())))
        raise ServiceError("method-not-allowed", headers={"Allow": allowed})

    def _check_body(self, path: str, headers: Mapping[str, str]) -> int:
        length = headers.get("content-length", "")
        if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
            raise ServiceError("length-required")
        limit = self._limits.film_bytes if path == FILMS else self._limits.json_bytes
        if len(length) > 15 or int(length) > limit:
            raise ServiceError("body-too-large", details={"limit": limit})
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (FILM_TYPES if path == FILMS else {JSON}):
            raise ServiceError("unsupported-media-type")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise ServiceError("unsupported-media-type")
        return int(length)


def error_response(error: ServiceError) -> JSONResponse:
    """The response of an error."""
    return JSONResponse(error.content(), error.status, dict(error.headers))


def with_security(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of a response, and those that protect the page."""
    added = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
    return [*headers, *added]


def _single_headers(scope: Scope) -> dict[str, str]:
    """The headers about the body, none of them twice."""
    values: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1").lower()
        if name in values and name.startswith(("content-", "transfer-")):
            raise ServiceError("bad-request")
        values[name] = raw_value.decode("latin-1").strip()
    return values


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that returns a body which was read already."""
    is_sent = False

    async def replayed() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _shown(scope: Scope) -> tuple[str, str]:
    """Method and path for the log: constants of the service, nothing that a client wrote."""
    methods = {"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"}
    method = scope["method"] if scope["method"] in methods else "(another method)"
    route = scope.get("route")
    path = getattr(route, "path", "")
    return method, path if isinstance(path, str) and path else "(no route)"
