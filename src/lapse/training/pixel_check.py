"""The pixels of a run are those that `prepare` wrote: a sample at once, the rest while it trains.

Hashing 48 GB of images takes minutes. The sample finds a replaced or zeroed file before the first
step; a thread checks every block meanwhile and stops the run at the next step if one differs.
"""

from __future__ import annotations

import logging
import threading

from lapse.core.seeding import derive_permutation
from lapse.data.store.checksums import CHECKSUMS, PixelChecker
from lapse.data.store.store import Store

logger = logging.getLogger(__name__)
NUM_SAMPLED = 16  # blocks


def check_pixel_sample(store: Store, seed: int = 0) -> None:
    """Check the first, the last and some other blocks of a store.

    Args:
        store: an open store.
        seed: chooses the other blocks.

    Raises:
        ValueError: a block has changed since `prepare` wrote it.
    """
    checker = PixelChecker(store.path, store.pixel_file)
    if checker.checksums is None:
        logger.warning(
            "%s has no %s, as it was written by an earlier version: its pixels are not checked; "
            "run prepare again to add it",
            store.path,
            CHECKSUMS,
        )
        return
    order = derive_permutation(len(checker), "pixel check", seed)
    ends = (0, len(checker) - 1) if order else ()
    for index in sorted({*order[:NUM_SAMPLED], *ends}):
        _raise_if(checker.check(index))


class BackgroundPixelCheck:
    """Checks the blocks of a store in a thread.

    Args:
        store: an open store.
        rank: of this process; it checks every `world_size`-th block.
        world_size: number of processes.
    """

    def __init__(self, store: Store, rank: int = 0, world_size: int = 1) -> None:
        self._checker = PixelChecker(store.path, store.pixel_file)
        self._blocks = range(rank, len(self._checker), world_size)
        self._thread = threading.Thread(target=self._run, name="pixel check", daemon=True)
        self._is_stopped = threading.Event()
        self._problem: str | None = None

    def start(self) -> None:
        """Start the thread, once; call it after worker processes are forked."""
        if self._thread.ident is None:
            self._thread.start()

    def check(self) -> None:
        """Stop the run if a block that was read so far differs.

        Raises:
            ValueError: a block has changed since `prepare` wrote it.
        """
        _raise_if(self._problem)

    def finish(self) -> None:
        """Wait for the last block.

        Raises:
            ValueError: as `check`.
        """
        if self._thread.ident is not None:
            self._thread.join()
        self.check()

    def stop(self) -> None:
        """End the thread after its block."""
        self._is_stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        for index in self._blocks:
            if self._is_stopped.is_set():
                return
            self._problem = self._checker.check(index)
            if self._problem is not None:
                return


def _raise_if(problem: str | None) -> None:
    if problem is not None:
        raise ValueError(problem)
