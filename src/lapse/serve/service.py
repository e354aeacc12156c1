"""The work of the service: films in, pictures, comparisons and reports out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from lapse.core import registry
from lapse.core.version import __version__
from lapse.serve.child import Child, ChildDiedError
from lapse.serve.errors import ServiceError
from lapse.serve.films import FilmStore, StoredFilm, checked_film
from lapse.serve.limits import Limits
from lapse.serve.timeline import order_films
from lapse.serve.uploads import Upload, Uploads
from lapse.serve.waiting import Waiting

DECODER, MODEL = "lapse.serve.decoder", "lapse.serve.model_process"
SWEEP_SECONDS = 20.0  # between searches for expired films


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What answers.

    Attributes:
        name: a run folder, model folder or hub id; "" for the packaged model.
        guarded: state only changes that all readings agree on.
        allow_unusual: answer films that an input check refuses, also where a request does not
            demand it.
    """

    name: str = ""
    guarded: bool = True
    allow_unusual: bool = False


class Service:
    """The state of a running service. Used from one event loop.

    Attributes:
        served: the model and the options of its answers.
        limits: of everything.
        model: what the model process says about its model; empty before `start`.
    """

    def __init__(self, served: ServedModel, limits: Limits) -> None:
        self.served, self.limits = served, limits
        self.model: dict[str, Any] = {}
        self.films = FilmStore(limits)
        self.uploads = Uploads(limits)
        self.decoding = Waiting(running=limits.decoders, waiting=limits.waiting)
        self.answering = Waiting(running=1, waiting=limits.waiting)
        self.decoders = [
            Child(DECODER, max_uses=limits.decoder_uses) for _ in range(limits.decoders)
        ]
        self.answerer = Child(MODEL)
        self._idle = list(self.decoders)
        self._is_loaded = False

    async def start(self) -> None:
        """Load the model, warm it up, and start the decoders.

        Raises:
            ValueError: the model cannot be loaded.
        """
        await asyncio.gather(*(decoder.start() for decoder in self.decoders))
        try:
            await self._load()
        except ChildDiedError:
            raise ValueError(
                "the process of the model ended while it loaded: out of memory, or the package is "
                "damaged"
            ) from None

    async def stop(self) -> None:
        """End all processes."""
        for child in (*self.decoders, self.answerer):
            await child.stop()

    async def sweep(self) -> None:
        """Forget expired films until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.films.expire()

    def facts(self) -> dict[str, Any]:
        """What the service is, for clients."""
        shown = (
            "facts", "trained_on", "research_use", "questions", "has_reports", "allow_unusual",
            "guarded",
        )  # fmt: skip
        return {
            **{name: self.model[name] for name in shown},
            "lapse": __version__,
            "film_bytes": self.limits.film_bytes,
            "film_seconds": self.limits.films_seconds,
            "timeline_films": self.limits.timeline_films,
        }

    def check_room(self) -> None:
        """Refuse a film before its body is read, if there is no place for it.

        Raises:
            ServiceError: stopping, busy, memory-full.
        """
        if self.uploads.is_stopping:
            raise ServiceError("stopping", headers={"Connection": "close", "Retry-After": "30"})
        self.films.check()
        self.decoding.check()

    async def add_film(self, upload: Upload) -> dict[str, Any]:
        """Decode a film and keep it."""
        values = {
            **{name: self.model[name] for name in ("size", "resize", "intensity")},
            "shown": self.limits.shown_side,
            "memory": self.limits.decoder_bytes,
            "cpu": self.limits.decoder_cpu,
        }
        async with self.decoding.turn(), self._decoder() as decoder:
            try:
                answer = await decoder.ask(
                    values, [upload.file], seconds=self.limits.decoder_seconds
                )
            except ChildDiedError:
                raise ServiceError("decoder-failed") from None
        film = checked_film(upload.sha256, answer, int(self.model["size"]))
        return {
            "id": self.films.add(film),
            "height": film.height,
            "width": film.width,
            "sha256": film.sha256,
            "notes": list(film.notes),
            "expires_in": self.limits.films_seconds,
        }

    async def compare(
        self, reference: str, main: str, question: str, *, allow_unusual: bool
    ) -> dict[str, Any]:
        """The comparison of two films, with the SHA-256 of both."""
        films = [self.films.get(name) for name in (reference, main)]
        values = await self._answer("compare", films, question, allow_unusual=allow_unusual)
        pair = {
            role: {"sha256": film.sha256, "height": film.height, "width": film.width}
            for role, film in zip(("reference", "main"), films, strict=True)
        }
        return {**values, "pair": pair}

    async def report(self, name: str, *, allow_unusual: bool) -> dict[str, Any]:
        """The report of one film."""
        if not self.model["has_reports"]:
            raise ServiceError("not-found")
        film = self.films.get(name)
        values = await self._answer("report", [film], "", allow_unusual=allow_unusual)
        return {**values, "film": {"sha256": film.sha256}}

    def timeline(self, names: Sequence[str]) -> dict[str, Any]:
        """The order of films in time."""
        films = [self.films.get(name) for name in names]
        timeline = order_films([film.facts.get("dates", {}) for film in films])
        return {
            "films": [names[position] for position in timeline.order],
            "days": list(timeline.days),
            "is_dated": timeline.is_dated,
        }

    async def _answer(
        self, task: str, films: Sequence[StoredFilm], question: str, *, allow_unusual: bool
    ) -> dict[str, Any]:
        values = {
            "do": task,
            "question": question,
            "allow_unusual": allow_unusual,
            "films": [
                {"height": film.height, "width": film.width, "facts": film.facts} for film in films
            ],
        }
        async with self.answering.turn():
            try:
                if not (self._is_loaded and self.answerer.is_running):
                    await self._load()
                answer = await self.answerer.ask(
                    values, [film.pixels for film in films], seconds=self.limits.model_seconds
                )
            except (ChildDiedError, ValueError):
                raise ServiceError("model-failed") from None
        refused = answer.values.pop("refused", None)
        if refused is not None:
            raise ServiceError(refused, details=answer.values)
        return answer.values

    async def _load(self) -> None:
        self._is_loaded = False
        served = self.served
        values = {
            "model": served.name,
            "allow": list(registry.allowed()),
            "options": {"guarded": served.guarded, "allow_unusual": served.allow_unusual},
        }
        answer = await self.answerer.ask(values, [], seconds=self.limits.model_seconds)
        if "failed" in answer.values:
            raise ValueError(str(answer.values["failed"]))
        self.model = answer.values
        self._is_loaded = True

    @asynccontextmanager
    async def _decoder(self) -> AsyncIterator[Child]:
        """An idle decoder; there is one for each turn. A new one comes last: it may be starting."""
        decoder = self._idle.pop()
        try:
            yield decoder
        finally:
            self._idle.insert(0 if decoder.is_new else len(self._idle), decoder)
