"""A process that answers one message after the other, and that may die.

A process that dies, sends nonsense or takes too long costs the request that it was working on.
The next request gets a new process.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from lapse.serve.messages import Message, MessageError, pack_head, receive

logger = logging.getLogger(__name__)
CHUNK = 1 << 18  # bytes


class ChildDiedError(Exception):
    """The process ended, sent nonsense or took too long."""


class Child:
    """One process, started when it is needed."""

    def __init__(self, module: str, *, max_uses: int | None = None) -> None:
        """Args:
        module: run as `python -m module`.
        max_uses: requests after which the process is replaced; the new one starts at once.
        """
        self.module = module
        self.max_uses = max_uses
        self._process: asyncio.subprocess.Process | None = None
        self._uses = 0

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self._process.pid if self.is_running and self._process else None

    @property
    def is_new(self) -> bool:
        """Whether the process has not answered yet, so that a request may wait for its start."""
        return self._uses == 0 or not self.is_running

    @property
    def is_running(self) -> bool:
        """Whether the next request needs no new process."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process if it does not run."""
        if self.is_running:
            return
        self._uses = 0
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # no module from the current folder
            "-m",
            self.module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # decoders print parts of files
            start_new_session=True,  # Ctrl+C reaches the server alone, which drains
        )

    async def ask(
        self, values: dict[str, Any], parts: Sequence[BinaryIO | bytes], *, seconds: float
    ) -> Message:
        """The answer of the process to one message.

        Args:
            values: the JSON of the message.
            parts: bytes, or open files, which are sent in chunks.
            seconds: after which the process is killed.

        Raises:
            ChildDiedError: no answer.
        """
        try:
            async with asyncio.timeout(seconds):
                await self.start()
                answer = await self._exchange(values, parts)
        except (OSError, EOFError, MessageError, TimeoutError) as error:
            logger.warning("%s ended: %s", self.module, type(error).__name__)
            await self.stop()
            raise ChildDiedError from error
        except BaseException:  # cancelled: the answer of this request would be the next one's
            await self.stop()
            raise
        self._uses += 1
        if self.max_uses is not None and self._uses >= self.max_uses:
            await self.stop()
            with suppress(OSError):  # the next request tries again
                await self.start()
        return answer

    async def stop(self) -> None:
        """Kill the process."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()

    async def _exchange(self, values: dict[str, Any], parts: Sequence[BinaryIO | bytes]) -> Message:
        assert self._process is not None
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(pack_head(values, [_length(part) for part in parts]))
        for part in parts:
            if isinstance(part, bytes):
                stdin.write(part)
            else:
                part.seek(0)
                while chunk := part.read(CHUNK):
                    stdin.write(chunk)
                    await stdin.drain()
        await stdin.drain()
        return await receive(stdout)


def _length(part: BinaryIO | bytes) -> int:
    return len(part) if isinstance(part, bytes) else part.seek(0, 2)
