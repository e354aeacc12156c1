"""Bodies of requests: read into memory within limits of bytes and time, never into a file."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO

from starlette.types import Receive

from lapse.serve.errors import ServiceError, retry_later
from lapse.serve.limits import Limits

BUSY_SECONDS = 5.0  # of the answer when too many bytes are on their way


@dataclass(frozen=True, slots=True, eq=False)
class Upload:
    """A complete body."""

    file: BinaryIO
    sha256: str


class Uploads:
    """All bodies that are on their way.

    Attributes:
        is_stopping: whether incomplete bodies are refused.
        num_bytes: of all unfinished and undecoded bodies.
    """

    def __init__(self, limits: Limits) -> None:
        self.is_stopping = False
        self._limits = limits
        self.num_bytes = 0
        self._timeouts: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def read(self, receive: Receive, length: int) -> AsyncIterator[Upload]:
        """A large body; its memory is free again after the block.

        Args:
            receive: of the request.
            length: its Content-Length.

        Raises:
            ServiceError: too slow, incomplete, stopping, or too many bytes in all.
        """
        file, digest, received = memory_file(), hashlib.sha256(), 0
        try:
            async with self._time_limit(length):
                while received < length:
                    chunk = await _next(receive)
                    received += len(chunk)
                    self.num_bytes += len(chunk)
                    if self.num_bytes > self._limits.uploads_bytes:
                        raise retry_later("busy", BUSY_SECONDS)
                    digest.update(chunk)
                    file.write(chunk)
            yield Upload(file, digest.hexdigest())
        finally:
            self.num_bytes -= received
            file.close()

    async def read_small(self, receive: Receive, length: int) -> bytes:
        """A body of at most a few kilobytes.

        Raises:
            ServiceError: too slow, incomplete, or stopping.
        """
        body = b""
        async with self._time_limit(length):
            while len(body) < length:
                body += await _next(receive)
        return body

    def stop(self) -> None:
        """Refuse the bodies that are incomplete, now and from now on."""
        self.is_stopping = True
        for timeout in self._timeouts:
            if not timeout.expired():
                timeout.reschedule(0.0)

    @asynccontextmanager
    async def _time_limit(self, length: int) -> AsyncIterator[None]:
        """The time that a body of this length may take: one timer, whatever its chunks are.

        Raises:
            ServiceError: timeout, stopping.
        """
        seconds = self._limits.upload_seconds + length / self._limits.upload_rate
        try:
            async with asyncio.timeout(0.0 if self.is_stopping else seconds) as timeout:
                self._timeouts.add(timeout)
                try:
                    yield
                finally:
                    self._timeouts.discard(timeout)
        except TimeoutError:
            raise ServiceError("stopping" if self.is_stopping else "timeout") from None


async def _next(receive: Receive) -> bytes:
    """The next bytes of a body, which are not empty."""
    while True:
        message = await receive()
        body = message.get("body", b"")
        if message["type"] != "http.request" or not (body or message.get("more_body")):
            raise ServiceError("bad-request")  # the client is gone, or the body is short
        if body:
            return bytes(body)


def memory_file() -> BinaryIO:
    """An anonymous file in memory.

    On Linux the kernel keeps it, so that a large film does not make the server process large.
    """
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("film", os.MFD_CLOEXEC), "w+b")
    return io.BytesIO()
