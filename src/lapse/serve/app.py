"""The routes of the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from lapse.core.version import __version__
from lapse.serve import schemas
from lapse.serve.access import Access
from lapse.serve.api_page import api_page
from lapse.serve.errors import ERRORS, ServiceError
from lapse.serve.gate import FILM_TYPES, FILMS, Gate, error_response
from lapse.serve.service import Service

DESCRIPTION = (
    "Compares two chest radiographs of one patient. Research use only: not a medical device, and "
    "no diagnosis. Send both films, then compare them by their ids."
)
STATIC = {  # files of the package; no other file can be fetched
    "page.html": "text/html",
    "style.css": "text/css",
    "app.js": "text/javascript",
    "viewer.js": "text/javascript",
    "answer.js": "text/javascript",
    "films.js": "text/javascript",
    "theme.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
FILM_ID = Annotated[schemas.FilmId, Path()]
_ANY = ("bad-request", "wrong-host", "wrong-origin", "unauthorized", "internal")
_BODY = ("length-required", "body-too-large", "unsupported-media-type", "timeout")
_MODEL = ("unknown-film", "refused-input", "model-failed", "busy")


def build_app(service: Service, access: Access) -> Gate:
    """The service as an ASGI application."""
    return Gate(routes(service), access, service.limits, service.uploads)


def routes(service: Service) -> FastAPI:
    """The routes, without the checks of the gate."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(service.sweep())
        yield
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
        await service.stop()

    app = FastAPI(
        title="lapse",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    add_error_handlers(app)
    _add_pages(app)
    _add_films(app, service)
    _add_answers(app, service)
    return app


def _add_films(app: FastAPI, service: Service) -> None:
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in FILM_TYPES}

    @app.post(
        FILMS,
        status_code=201,
        summary="Send a film",
        response_model=schemas.FilmAnswer,
        responses=_errors(*_ANY, *_BODY, "damaged", "busy"),
        openapi_extra={"requestBody": {"required": True, "content": content}},
    )
    async def add_film(request: Request) -> JSONResponse:
        """The body is the file: JPEG, PNG or DICOM. The film stays in memory for a limited time."""
        service.check_room()
        length = int(request.headers["content-length"])
        async with service.uploads.read(request.receive, length) as upload:
            return JSONResponse(await service.add_film(upload), 201)

    @app.get(
        FILMS + "/{film}/picture",
        summary="A film as a picture",
        response_class=Response,
        responses={
            200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
            **_errors(*_ANY, "unknown-film"),
        },
    )
    async def picture(film: FILM_ID) -> Response:
        """The film as a grey PNG, a DICOM with its window, at most 1,536 pixels on its longer
        edge."""
        return Response(service.films.get(film).picture, media_type="image/png")

    @app.delete(
        FILMS + "/{film}",
        status_code=204,
        summary="Remove a film",
        responses=_errors(*_ANY, "unknown-film"),
    )
    async def remove_film(film: FILM_ID) -> Response:
        """Forget a film before its time."""
        service.films.remove(film)
        return Response(status_code=204)


def _add_answers(app: FastAPI, service: Service) -> None:
    @app.post(
        "/api/comparisons",
        summary="Compare two films",
        response_model=schemas.ComparisonAnswer,
        responses=_errors(*_ANY, *_BODY, *_MODEL),
    )
    async def compare(body: schemas.CompareBody) -> JSONResponse:
        """What changed from the reference (earlier) to the main (later) film, and where."""
        options = body.model_dump()
        names = (options.pop("reference"), options.pop("main"))
        return JSONResponse(await service.compare(*names, **options))

    @app.post(
        "/api/reports",
        summary="Report of one film",
        response_model=schemas.ReportAnswer,
        responses=_errors(*_ANY, *_BODY, *_MODEL, "not-found"),
    )
    async def report(body: schemas.ReportBody) -> JSONResponse:
        """The report that the model writes of one film; not found if the model writes none."""
        return JSONResponse(await service.report(body.film, allow_unusual=body.allow_unusual))

    @app.post(
        "/api/timelines",
        summary="Order films in time",
        response_model=schemas.TimelineAnswer,
        responses=_errors(*_ANY, *_BODY, "unknown-film"),
    )
    async def timeline(body: schemas.TimelineBody) -> JSONResponse:
        """The order of one patient's films by the dates in their headers, which are not shown."""
        return JSONResponse(service.timeline(body.films))

    @app.get(
        "/api/service",
        summary="Model and limits",
        response_model=schemas.ServiceAnswer,
        responses=_errors(*_ANY),
    )
    async def facts() -> JSONResponse:
        """What the model is, what it was trained on, and which questions it answers."""
        return JSONResponse(service.facts())

    @app.get(
        "/health", summary="Health", response_model=schemas.HealthAnswer, responses=_errors(*_ANY)
    )
    async def health() -> JSONResponse:
        """Whether the service runs; needs no token."""
        return JSONResponse({"status": "stopping" if service.uploads.is_stopping else "ok"})


def _add_pages(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(static_text("page.html"))

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in STATIC:
            raise ServiceError("not-found")
        return Response(static_text(name), media_type=STATIC[name])

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> HTMLResponse:
        return HTMLResponse(api_page(app.openapi()))


@cache
def static_text(name: str) -> str:
    """The content of a file of `STATIC`."""
    return (files("lapse.serve") / "static" / name).read_text(encoding="utf-8")


def add_error_handlers(app: Starlette) -> None:
    """Errors of the list instead of those of Starlette and FastAPI."""

    async def answer(_: Request, error: Exception) -> JSONResponse:
        if isinstance(error, ServiceError):
            return error_response(error)
        is_invalid = isinstance(error, RequestValidationError | HTTPException)  # or not JSON
        return error_response(ServiceError("bad-request" if is_invalid else "internal"))

    for kind in (ServiceError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)


def _errors(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route, by status."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status in {ERRORS[code].status for code in codes} | {422}:
        names = ", ".join(code for code, kind in ERRORS.items() if kind.status == status)
        responses[status] = {"model": schemas.ErrorAnswer, "description": names}
    return responses
