"""Bodies of requests: read into memory within limits of bytes and time, never into a file."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO

from starlette.types import Message, Receive

from lapse.serve.errors import ServiceError, retry_later
from lapse.serve.limits import Limits

BUSY_SECONDS = 5.0  # of the answer when too many bytes are on their way


@dataclass(frozen=True, slots=True, eq=False)
class Upload:
    """A complete body."""

    file: BinaryIO
    sha256: str
    num_bytes: int


class Uploads:
    """All bodies that are on their way."""

    def __init__(self, limits: Limits, stopping: asyncio.Event) -> None:
        self._limits, self._stopping = limits, stopping
        self._num_bytes = 0

    @property
    def num_bytes(self) -> int:
        """Of all unfinished and undecoded bodies."""
        return self._num_bytes

    @asynccontextmanager
    async def read(self, receive: Receive, length: int) -> AsyncIterator[Upload]:
        """A large body; its memory is free again after the block.

        Args:
            receive: of the request.
            length: its Content-Length.

        Raises:
            ServiceError: too slow, incomplete, stopping, or too many bytes in all.
        """
        deadline = self._deadline(length)
        file, digest, received = memory_file(), hashlib.sha256(), 0
        try:
            while received < length:
                chunk = await self._next(receive, deadline)
                received += len(chunk)
                self._num_bytes += len(chunk)
                if self._num_bytes > self._limits.uploads_bytes:
                    raise retry_later("busy", BUSY_SECONDS)
                digest.update(chunk)
                file.write(chunk)
            yield Upload(file, digest.hexdigest(), received)
        finally:
            self._num_bytes -= received
            file.close()

    async def read_small(self, receive: Receive, length: int) -> bytes:
        """A body of at most a few kilobytes.

        Raises:
            ServiceError: too slow, incomplete, or stopping.
        """
        deadline, body = self._deadline(length), b""
        while len(body) < length:
            body += await self._next(receive, deadline)
        return body

    def _deadline(self, length: int) -> float:
        seconds = self._limits.upload_seconds + length / self._limits.upload_rate
        return time.monotonic() + seconds

    async def _next(self, receive: Receive, deadline: float) -> bytes:
        """The next bytes of a body, which are not empty."""
        while True:
            message = await self._message(receive, deadline)
            body = message.get("body", b"")
            if message["type"] != "http.request" or not (body or message.get("more_body")):
                raise ServiceError("bad-request")  # the client is gone, or the body is short
            if body:
                return bytes(body)

    async def _message(self, receive: Receive, deadline: float) -> Message:
        receiving = asyncio.ensure_future(receive())
        stopping = asyncio.ensure_future(self._stopping.wait())
        tasks = {receiving, stopping}
        try:
            seconds = max(0.0, deadline - time.monotonic())
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                raise ServiceError("stopping" if self._stopping.is_set() else "timeout")
            return receiving.result()
        finally:
            for task in tasks:
                task.cancel()


def memory_file() -> BinaryIO:
    """An anonymous file in memory.

    On Linux the kernel keeps it, so that a large film does not make the server process large.
    """
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("film", os.MFD_CLOEXEC), "w+b")
    return io.BytesIO()
