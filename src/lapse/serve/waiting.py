"""A queue of limited length: so many run, so many wait, the next one is refused at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lapse.serve.errors import retry_later

FIRST_GUESS, MEMORY = 2.0, 0.8  # seconds of a turn before the first one; weight of the past


class Waiting:
    """Turns for a scarce resource.

    Attributes:
        running: turns at the same time.
        waiting: requests that may wait for one.
    """

    def __init__(self, *, running: int, waiting: int) -> None:
        self.running, self.waiting = running, waiting
        self._turns = asyncio.Semaphore(running)
        self._present = 0
        self._seconds = FIRST_GUESS

    @property
    def is_full(self) -> bool:
        """Whether the next request is refused."""
        return self._present >= self.running + self.waiting

    def check(self) -> None:
        """Refuse a request early.

        Raises:
            ServiceError: busy, with the seconds after which a place is likely.
        """
        if self.is_full:
            raise retry_later("busy", self._seconds * (self._present + 1) / self.running)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn.

        Raises:
            ServiceError: busy.
        """
        self.check()
        self._present += 1
        try:
            async with self._turns:
                start = time.monotonic()
                yield
                taken = time.monotonic() - start
                self._seconds = MEMORY * self._seconds + (1 - MEMORY) * taken
        finally:
            self._present -= 1
