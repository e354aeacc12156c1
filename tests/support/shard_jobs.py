"""A job that dies, in a module that the workers of a Dask cluster can import."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lapse.data.prepare.shards import ShardJob


@dataclass(frozen=True)
class DyingJob(ShardJob):
    """A ShardJob whose process is killed by some images.

    The image `always` kills every process that reads it. Any other image kills the first process
    that reads it if OUT.shards/../kill-IMAGE exists.
    """

    always: ClassVar[str] = "00000001-00000001-f"

    def __call__(self, task, rejected, on_item):
        def on_item_or_die(item):
            on_item(item)
            once = self.folder.parent / f"kill-{item}"
            is_deadly = once.exists() or item == self.always
            if is_deadly and item not in rejected:
                once.unlink(missing_ok=True)
                os.kill(os.getpid(), signal.SIGKILL)

        return super().__call__(task, rejected, on_item_or_die)


@dataclass(frozen=True)
class DyingAfterJob(ShardJob):
    """A ShardJob whose process is killed each time it has written, or finds, the first shard."""

    def __call__(self, task, rejected, on_item):
        info = super().__call__(task, rejected, on_item)
        if task.index == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return info


@dataclass(frozen=True)
class DyingAgainJob(ShardJob):
    """A ShardJob whose process is killed when it finds the first shard, if OUT/../lost exists."""

    def __call__(self, task, rejected, on_item):
        info = super().__call__(task, rejected, on_item)
        if task.index == 0 and (self.folder.parent / "lost").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return info


def kill_once(folder: Path, image: str) -> Path:
    """Mark an image that kills the first process that reads it."""
    mark = folder / f"kill-{image}"
    mark.touch()
    return mark
