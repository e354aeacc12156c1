"""Films in memory, under names that cannot be guessed, for a limited time."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lapse.serve.errors import ERRORS, ServiceError, retry_later
from lapse.serve.limits import Limits
from lapse.serve.messages import Message


@dataclass(frozen=True, slots=True, eq=False)
class StoredFilm:
    """A decoded film.

    Attributes:
        sha256: of the bytes that were sent.
        height: rows of the original.
        width: columns of the original.
        notes: what was ignored or changed in the file.
        pixels: [S, S] bytes at the image size of the model.
        picture: a PNG for the screen.
        facts: of a DICOM header, for the input checks; never sent to a client.
    """

    sha256: str
    height: int
    width: int
    notes: tuple[str, ...] = ()
    pixels: bytes = field(default=b"", repr=False)
    picture: bytes = field(default=b"", repr=False)
    facts: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def num_bytes(self) -> int:
        """Bytes in memory."""
        return len(self.pixels) + len(self.picture)


class FilmStore:
    """Films by id; the oldest expire, none is replaced by another client's."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._clock = limits, clock
        self._films: dict[str, tuple[StoredFilm, float]] = {}  # id -> film, time of its last use

    def __len__(self) -> int:
        return len(self._films)

    def add(self, film: StoredFilm) -> str:
        """Keep a film; returns its id.

        Raises:
            ServiceError: memory-full.
        """
        self.check(film.num_bytes)
        name = secrets.token_urlsafe(18)
        self._films[name] = (film, self._clock())
        return name

    def check(self, num_bytes: int = 0) -> None:
        """Refuse a film that does not fit, also before it is decoded.

        Raises:
            ServiceError: memory-full.
        """
        self.expire()
        total = num_bytes + sum(film.num_bytes for film, _ in self._films.values())
        if len(self._films) >= self._limits.films or total > self._limits.films_bytes:
            oldest = min((used for _, used in self._films.values()), default=self._clock())
            raise retry_later("memory-full", oldest + self._limits.films_seconds - self._clock())

    def get(self, name: str) -> StoredFilm:
        """A film, whose time starts again.

        Raises:
            ServiceError: unknown-film.
        """
        self.expire()
        if name not in self._films:
            raise ServiceError("unknown-film")
        film, _ = self._films[name]
        self._films[name] = (film, self._clock())
        return film

    def remove(self, name: str) -> None:
        """Forget a film.

        Raises:
            ServiceError: unknown-film.
        """
        self.get(name)
        del self._films[name]

    def expire(self) -> None:
        """Forget the films that were not used for too long."""
        limit = self._clock() - self._limits.films_seconds
        for name in [name for name, (_, used) in self._films.items() if used < limit]:
            del self._films[name]


def checked_film(sha256: str, answer: Message, size: int) -> StoredFilm:
    """The film of a decoder's answer, which is checked as if an attacker had written it.

    Args:
        sha256: of the bytes that were sent.
        answer: of the decoder.
        size: S, the image size of the model.

    Raises:
        ServiceError: the film is refused, or this is not an answer of a decoder.
    """
    values, parts = answer.values, answer.parts
    refused = values.get("refused")
    if refused is not None:
        is_code = isinstance(refused, str) and refused in ERRORS
        raise ServiceError(refused if is_code else "decoder-failed")
    height, width, facts = values.get("height"), values.get("width"), values.get("facts")
    if not (
        isinstance(height, int)
        and isinstance(width, int)
        and len(parts) == 2
        and len(parts[0]) == size * size
        and parts[1].startswith(b"\x89PNG")
        and isinstance(facts, dict)
        and isinstance(values.get("notes"), list)
    ):
        raise ServiceError("decoder-failed")
    notes = tuple(str(note)[:200] for note in values["notes"])
    return StoredFilm(sha256, height, width, notes, parts[0], parts[1], facts)
